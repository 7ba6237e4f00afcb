/** Reply objects with a shape of their own: directory listings and file system statistics. */
import type { Attr } from "./attr.js";
import type { ByteName, EntryOut } from "./filesystem.js";
import type { FileOffset } from "./kernel-port.js";

/** One entry of a listing. `offset` is the cookie of the entry *after* this one, as telldir(3) gives it. */
export interface DirectoryEntry {
  name: ByteName;
  inoLo: number;
  inoHi: number;
  /** A DT value. */
  type: number;
  offset: FileOffset;
}

/** Collects entries until the reply is full. */
export interface DirectoryOut {
  /** False if the entry does not fit: it was not added, so stop and answer. */
  add(entry: DirectoryEntry): boolean;
  /** True if an entry with a name of that many bytes would still fit with attributes: ask before a lookup that counts. */
  fitsPlus(nameBytes: number): boolean;
  /**
   * READDIRPLUS: adds the entry and its attributes. If `found` is undefined, only the entry (nodeId 0: the kernel looks it up later).
   */
  addPlus(entry: DirectoryEntry, found: EntryOut | undefined): boolean;
  /** An EntryOut to look up into, for addPlus. */
  readonly scratch: EntryOut & { readonly attr: Attr };
}

/** statfs(2): counts of blocks of `frsize` bytes. */
export interface StatfsOut {
  blocks: number;
  bfree: number;
  bavail: number;
  files: number;
  ffree: number;
  bsize: number;
  namelen: number;
  frsize: number;
}
