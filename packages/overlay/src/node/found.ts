/** The result of a search in the layers. A node is made of it. */
import { Attr, type ByteName } from "@sluice/vfs";
import type { DataLocation } from "../layer/data-location.js";
import type { RealDir } from "../layer/host-layer.js";

/** One object serves many searches. */
export class Found {
  /** S_IFMT bits; 0: nothing. */
  kind = 0;
  /** Attributes of the topmost object. */
  attr: Attr = new Attr();
  /** Not a directory: the directory that it lies in. */
  dir: RealDir | undefined = undefined;
  /** A metadata-only copy: the place of its data. */
  data: DataLocation | undefined = undefined;
  /** A directory: the real directories that it is merged from, top first. */
  dirs: RealDir[] = [];
  /** Of the topmost lower directory, or of the first one that this mount made, if `dirs` has one: the origin of the inode number. */
  lowerIno: { lo: number; hi: number; device: number; path: readonly ByteName[] } | undefined = undefined;
  opaque = false;
  /** A file of the upper layer with the mark of protection. */
  isProtected = false;

  reset(): void {
    this.kind = 0;
    this.dir = undefined;
    this.data = undefined;
    // A node has it now.
    if (this.dirs.length > 0) this.dirs = [];
    this.lowerIno = undefined;
    this.opaque = this.isProtected = false;
  }
}
