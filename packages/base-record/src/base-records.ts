/** Reads the record. A line that a killed writer cut short counts as missing. */
import { readFileSync } from "node:fs";
import { native } from "@sluice/native";
import { type ByteName, O } from "@sluice/vfs";
import { type BaseEntry, CONTENTS, digestOf, ENTRIES, readIdentity, type SharedName } from "./entry.js";

function parse(line: string): BaseEntry | SharedName | undefined {
  try {
    const entry = JSON.parse(line) as BaseEntry | SharedName; // nobody but the mount writes there
    return "shared" in entry ? entry : { ...entry, identity: readIdentity(entry.identity) };
  } catch {
    return undefined;
  }
}

function readFile(directory: number, name: string): Buffer | undefined {
  const fd = native.openat(directory, name, O.RDONLY | O.NOFOLLOW | O.CLOEXEC, 0);
  if (fd < 0) return undefined;
  try {
    return readFileSync(fd);
  } finally {
    native.close(fd);
  }
}

export function* readEntries(directory: number): Iterable<BaseEntry | SharedName> {
  for (const line of readFile(directory, ENTRIES)?.toString("utf8").split("\n") ?? []) {
    const entry = line === "" ? undefined : parse(line);
    if (entry !== undefined) yield entry;
  }
}

export class BaseRecords {
  /** Each with the directory of its record. */
  readonly #byPath = new Map<ByteName, { entry: BaseEntry; directory: number }>();
  /** A file with several names may have been copied by another one. */
  readonly #identities = new Map<string, BaseEntry>();
  readonly #shared = new Set<ByteName>();

  /** @param directories descriptors, which stay the caller's. An entry of a later one replaces those of earlier ones */
  constructor(directories: readonly number[]) {
    for (const directory of directories) {
      for (const entry of readEntries(directory)) {
        if ("shared" in entry || entry.links > 1) this.#shared.add(entry.path);
        if ("shared" in entry) continue;
        this.#byPath.set(entry.path, { entry, directory });
        this.#identities.set(entry.identity, entry);
      }
    }
  }

  at(path: ByteName): BaseEntry | undefined {
    return this.#byPath.get(path)?.entry;
  }

  /** Whether the object had several names when the session changed it. Of a directory it says nothing. */
  isShared(path: ByteName): boolean {
    return this.#shared.has(path);
  }

  hasSeen(identity: string): boolean {
    return this.#identities.has(identity);
  }

  /** The entry of another name of the same file. */
  withIdentity(identity: string): BaseEntry | undefined {
    return this.#identities.get(identity);
  }

  /** The bytes that the session saw at a path; undefined if they are not there, or were damaged. */
  contentAt(path: ByteName): Buffer | undefined {
    const found = this.#byPath.get(path);
    if (found === undefined) return undefined;
    const { content, clone, size } = found.entry;
    if (clone !== undefined) return readFile(found.directory, clone);
    const fd = content === undefined ? -1 : native.openat(found.directory, CONTENTS, O.RDONLY | O.NOFOLLOW | O.CLOEXEC, 0);
    if (content === undefined || fd < 0) return undefined;
    const bytes = Buffer.allocUnsafe(size);
    const read = native.pread(fd, bytes, { offset: 0, length: size, position: content.at }, 0);
    native.close(fd);
    return read === size && digestOf(bytes) === content.digest ? bytes : undefined;
  }
}
