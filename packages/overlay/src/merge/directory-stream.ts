/**
 * An open directory that lies in one layer, read as the host reads it. It holds one batch, whatever the directory's size. The
 * cookies are the host's, which stay valid while names come and go. A merged directory needs a Listing instead.
 */
import { type ByteName, type FileOffset, SEEK } from "@sluice/vfs";
import type { ListedLayers } from "./merged-layers.js";
import { DirentCursor } from "../layer/dirents.js";
import { closeFd, openDirectory, sys } from "../layer/system-calls.js";
import type { RealDir } from "../layer/host-layer.js";
import type { Node } from "../node/node.js";
import { judgeEntry } from "./judge-entry.js";

const bytes = Buffer.alloc(65_536);
const records = new DirentCursor(bytes);

/** `offset` is the cookie of the next entry. */
export interface StreamedEntry {
  readonly name: ByteName;
  readonly inoLo: number;
  readonly inoHi: number;
  readonly type: number;
  readonly offset: FileOffset;
}
/** False: no room, the entry was not taken. The entry is another one after that. */
type TakeEntry = (entry: StreamedEntry) => boolean;

export class DirectoryStream {
  readonly #core: ListedLayers;
  /** Of the directory, while it is read; else -1. */
  fd = -1;
  #position: FileOffset = -1;
  /** An entry that was delivered has an inode number from elsewhere. */
  hasOrigins = false;

  constructor(
    core: ListedLayers,
    readonly node: Node,
    readonly dir: RealDir,
  ) {
    this.#core = core;
  }

  /**
   * Reads one batch from a cookie on, of at most `sizeBytes` of host records. Gives 0 at the end of the directory, a positive
   * number if there may be more, or a negative errno. The descriptor is closed at the end, since many programs leave a directory
   * open that they have read.
   */
  read(from: FileOffset, sizeBytes: number, take: TakeEntry): number {
    const positioned = this.#seek(from);
    if (positioned < 0) return positioned;
    const length = sys.getdents64(this.fd, sizeBytes < bytes.length ? bytes.subarray(0, sizeBytes) : bytes);
    if (length <= 0) {
      this.close();
      return length;
    }
    this.#deliver(length, take);
    return length;
  }

  /** Cookie of the entry after the newest batch; -1 if an entry of it was not taken. */
  get position(): FileOffset {
    return this.#position;
  }

  #deliver(length: number, take: TakeEntry): void {
    records.begin(length);
    while (records.next()) {
      const known = judgeEntry(this.#core, this, records);
      if (known >= 0) {
        records.type = known;
        if (!take(records)) {
          // The host is past what had no room.
          this.#position = -1;
          return;
        }
      }
      this.#position = records.offset;
    }
  }

  #seek(from: FileOffset): number {
    if (this.fd < 0) {
      const { node } = this;
      const base = node.fd >= 0 ? node.fd : this.#core.fds.of(this.dir);
      this.fd = base < 0 ? base : openDirectory(base);
      if (this.fd < 0) return this.fd;
      this.#position = 0;
    }
    if (this.#position === from) return 0;
    const status = sys.lseek(this.fd, from, SEEK.SET);
    if (status < 0) return Number(status);
    this.#position = from;
    return 0;
  }

  close(): void {
    if (this.fd >= 0) closeFd(this.fd);
    this.fd = this.#position = -1;
  }
}
