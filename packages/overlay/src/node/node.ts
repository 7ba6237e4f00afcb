/** An overlay inode as we know it: its names in the merged tree, where its object lies in the layers, what is open of it. */
import { type ByteName, type NodeId, S } from "@sluice/vfs";
import type { HostLayer, RealDir } from "../layer/host-layer.js";
import type { InodeIo } from "./inode-io.js";
import { WithRarities } from "./cold-fields.js";

/** A bit of no kind. */
const SHOWN = 1;

/** A name of a node: in which directory of the merged tree. */
export interface Dentry {
  parent: Node;
  name: ByteName;
}

export class Node extends WithRarities {
  /** References the kernel holds on `id`. */
  lookups = 0;
  inoLo = 0;
  inoHi = 0;
  /** First name; parent undefined for the root and for a node without a name left. */
  parent: Node | undefined = undefined;
  name: ByteName = "";
  /** Not a directory: the directory of the layer it lies in, and its name there. */
  dir: RealDir | undefined = undefined;
  realName: ByteName = "";
  /** Its I/O state in the kernel while something is or was open; see inode-io.ts. */
  io: InodeIo | undefined = undefined;
  /** Where it is written down, or 0: see journal/overlay-journal.ts. */
  slot = 0;

  /** Its kind, and whether it was shown: one field, since each costs every node eight bytes. */
  #bits: number;

  constructor(
    public id: NodeId,
    kind: number,
  ) {
    super();
    this.#bits = kind;
  }

  /** S_IFMT bits. */
  get kind(): number {
    return this.#bits & S.IFMT;
  }

  /** The kernel was told its id. */
  get shown(): boolean {
    return (this.#bits & SHOWN) !== 0;
  }
  set shown(value: boolean) {
    this.#bits = value ? this.#bits | SHOWN : this.#bits & ~SHOWN;
  }

  get isDirectory(): boolean {
    return this.kind === S.IFDIR;
  }

  get isRegular(): boolean {
    return this.kind === S.IFREG;
  }

  /** Has no name left but may be open. */
  get unlinked(): boolean {
    return this.fd >= 0;
  }

  /** The topmost real directory this node's object lies in (a directory: is). */
  get top(): RealDir {
    return (this.dirs === undefined ? this.dir : this.dirs[0]) as RealDir;
  }

  /** The layer that serves a file's data. Of a data-only layer this is known once it was opened. */
  get dataLayer(): HostLayer {
    return this.data?.layer ?? this.top.layer;
  }

  get inUpper(): boolean {
    return this.top.layer.writable;
  }

  /** Its object, its data and every name that is known lie in the upper layer. */
  get copiedUp(): boolean {
    return this.inUpper && this.data === undefined && this.indexed?.bareNames !== true;
  }

  /** The real directory of this directory in the upper layer. */
  get upperDir(): RealDir | undefined {
    const top = this.dirs?.[0];
    return top?.layer.writable === true ? top : undefined;
  }

  /** A directory with entries from more than one layer, or one in the lower that upper adds to. */
  get isMerged(): boolean {
    return this.dirs !== undefined && this.dirs.length > 1;
  }
}

/** The path of a name below the mount, without a leading slash; "" is the root. */
export function pathAt(parent: Node, name: ByteName): string {
  let path: string = name;
  for (let at: Node = parent; at.parent !== undefined; at = at.parent) path = `${at.name}/${path}`;
  return path;
}

export function pathOf(node: Node): string {
  if (node.parent !== undefined) return pathAt(node.parent, node.name);
  return node.lastPath ?? "";
}

/** Every path the node is known by: never empty. */
export function pathsOf(node: Node): string[] {
  const paths = [pathOf(node)];
  for (const other of node.others ?? []) paths.push(pathAt(other.parent, other.name));
  return paths;
}
