/**
 * An open directory that lies in one layer, read as the host reads it: nothing is held but a batch, whatever its size, and
 * the cookies are the host's, which stay good while names come and go. What is merged needs a Listing instead.
 */
import { type ByteName, type FileOffset, O, SEEK } from "@sluice/vfs";
import type { Core } from "../core.js";
import { parseDirents } from "../layer/dirents.js";
import { sys } from "../layer/host-layer.js";
import type { RealDir } from "../layer/real-dir.js";
import type { Node } from "../node/node.js";
import { judgeEntry, WHITEOUT } from "./judge-entry.js";

const bytes = Buffer.alloc(65_536);

/** `next` is the cookie of what comes after. */
export interface StreamedEntry {
  name: ByteName;
  inoLo: number;
  inoHi: number;
  type: number;
  next: FileOffset;
}
/** False: no room, the entry was not taken. */
type TakeEntry = (entry: StreamedEntry) => boolean;

export class DirectoryStream {
  readonly #core: Core;
  #fd = -1;
  #position: FileOffset = -1;
  /** An entry that was delivered has an inode number from elsewhere. */
  hasOrigins = false;

  constructor(
    core: Core,
    readonly node: Node,
    readonly dir: RealDir,
  ) {
    this.#core = core;
  }

  /**
   * One batch from a cookie on, of at most `sizeBytes` of host records. 0 at the end of the directory, a positive number
   * where there may be more, or a negative errno. The descriptor is given back at the end: many keep a directory open that
   * they have read.
   */
  read(from: FileOffset, sizeBytes: number, take: TakeEntry): number {
    const positioned = this.#seek(from);
    if (positioned < 0) return positioned;
    const batch = bytes.subarray(0, Math.min(bytes.length, sizeBytes));
    const length = sys.getdents64(this.#fd, batch);
    if (length <= 0) {
      this.close();
      return length;
    }
    this.#deliver(batch, length, take);
    return length;
  }

  /** Cookie of what comes after the newest batch; -1 where an entry of it was not taken. */
  get position(): FileOffset {
    return this.#position;
  }

  #deliver(batch: Buffer, length: number, take: TakeEntry): void {
    let full = false;
    parseDirents(batch, length, (name, inoLo, inoHi, ...[type, next]) => {
      if (full) return;
      const known = judgeEntry(this.#core, { dir: this.dir, fd: this.#fd }, { name, type });
      if (known !== WHITEOUT) full = known >= 0 && !take({ name, inoLo, inoHi, type: known, next });
      if (!full) this.#position = next;
    });
    // The host is past what had no room.
    if (full) this.#position = -1;
  }

  #seek(from: FileOffset): number {
    if (this.#fd < 0) {
      const { node } = this;
      const base = node.fd >= 0 ? node.fd : this.#core.fds.of(this.dir);
      this.#fd = base < 0 ? base : sys.openat(base, ".", O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
      if (this.#fd < 0) return this.#fd;
      this.#position = 0;
    }
    if (this.#position === from) return 0;
    const status = sys.lseek(this.#fd, from, SEEK.SET);
    if (status < 0) return Number(status);
    this.#position = from;
    return 0;
  }

  close(): void {
    if (this.#fd >= 0) sys.close(this.#fd);
    this.#fd = this.#position = -1;
  }
}
