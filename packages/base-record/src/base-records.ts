/** Reads the record. A line that a killed writer cut short counts as missing. */
import { readFileSync } from "node:fs";
import { native } from "@sluice/native";
import { type ByteName, O } from "@sluice/vfs";
import { type BaseEntry, CONTENTS, digestOf, ENTRIES } from "./entry.js";

function parse(line: string): BaseEntry | undefined {
  try {
    return JSON.parse(line) as BaseEntry; // nobody but the mount writes there
  } catch {
    return undefined;
  }
}

export class BaseRecords {
  readonly #directory: number;
  readonly #byPath = new Map<ByteName, BaseEntry>();
  /** A file with several names may have been copied by another one. */
  readonly #identities = new Set<string>();

  /** @param directory a descriptor, which stays the caller's; undefined if nothing was recorded */
  constructor(directory: number | undefined) {
    this.#directory = directory ?? -1;
    for (const line of this.#read(ENTRIES)?.toString("utf8").split("\n") ?? []) {
      const entry = line === "" ? undefined : parse(line);
      if (entry === undefined) continue;
      this.#byPath.set(entry.path, entry);
      this.#identities.add(entry.identity);
    }
  }

  at(path: ByteName): BaseEntry | undefined {
    return this.#byPath.get(path);
  }

  hasSeen(identity: string): boolean {
    return this.#identities.has(identity);
  }

  /** The bytes that the session saw; undefined if they are not there, or were damaged. */
  contentOf({ content, clone, size }: BaseEntry): Buffer | undefined {
    if (clone !== undefined) return this.#read(clone);
    const fd = content === undefined ? -1 : native.openat(this.#directory, CONTENTS, O.RDONLY | O.NOFOLLOW | O.CLOEXEC, 0);
    if (content === undefined || fd < 0) return undefined;
    const bytes = Buffer.allocUnsafe(size);
    const read = native.pread(fd, bytes, { offset: 0, length: size, position: content.at }, 0);
    native.close(fd);
    return read === size && digestOf(bytes) === content.digest ? bytes : undefined;
  }

  #read(name: string): Buffer | undefined {
    if (this.#directory < 0) return undefined;
    const fd = native.openat(this.#directory, name, O.RDONLY | O.NOFOLLOW | O.CLOEXEC, 0);
    if (fd < 0) return undefined;
    try {
      return readFileSync(fd);
    } finally {
      native.close(fd);
    }
  }
}
