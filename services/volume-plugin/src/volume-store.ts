/** The list of volumes and their users, in one file, so that a restarted plugin has it. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CliError, EXIT } from "@sluice/runtime";
import { codeOf, makeDirectories } from "@sluice/runtime/cli";
import { VolumeError, type VolumeOptions } from "./volume-options.js";

export interface Volume {
  name: string;
  options: VolumeOptions;
  /** Docker's id of each use: one for each container. */
  users: Set<string>;
  createdAt: string;
}

interface Stored {
  version: 1;
  volumes: (Omit<Volume, "users"> & { users: string[] })[];
}

export class VolumeStore {
  readonly volumes = new Map<string, Volume>();
  private readonly file: string;

  /** Creates the directory. @throws CliError if it, or its content, cannot be used */
  constructor(root: string) {
    this.file = join(root, "volumes.json");
    try {
      makeDirectories(root, 0o711);
      const { volumes } = JSON.parse(readFileSync(this.file, "utf8")) as Stored;
      for (const volume of volumes) this.volumes.set(volume.name, { ...volume, users: new Set(volume.users) });
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === "ENOENT") return;
      const problem = cause instanceof SyntaxError ? "it is no list of volumes" : "it cannot be used";
      const remedy = "mend it, or move it away to begin without volumes";
      throw new CliError({ object: this.file, problem, errno: code, remedy, exitCode: EXIT.FAILED }, { cause });
    }
  }

  /** @throws VolumeError if the list cannot be written; then it is as before */
  set(volume: Volume): void {
    this.write(new Map(this.volumes).set(volume.name, volume));
    this.volumes.set(volume.name, volume);
  }

  /** @throws as `set` */
  delete(name: string): void {
    this.write([...this.volumes].filter(([each]) => each !== name));
    this.volumes.delete(name);
  }

  /** Docker tells the end of a use once. @returns the problem if the list cannot be written: the next one that is written has it */
  release({ name }: Volume, users: Set<string>): unknown {
    const volume = this.volumes.get(name);
    if (volume !== undefined) volume.users = users;
    try {
      this.write(this.volumes);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  /** Written aside and renamed: whoever dies in the middle leaves the old list. */
  private write(volumes: Iterable<[string, Volume]>): void {
    const stored: Stored = { version: 1, volumes: [...volumes].map(([, volume]) => ({ ...volume, users: [...volume.users] })) };
    try {
      writeFileSync(`${this.file}.new`, `${JSON.stringify(stored, null, 2)}\n`, { mode: 0o600, flush: true });
      renameSync(`${this.file}.new`, this.file);
    } catch (cause) {
      throw new VolumeError(`${this.file}: the list of volumes cannot be written (${codeOf(cause)}): make room on its disk`, { cause });
    }
  }
}
