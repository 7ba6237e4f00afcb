/** An overlay inode as we know it: its names in the merged tree, where its object lies in the layers, what is open of it. */
import { type ByteName, type NodeId, S } from "@sluice/vfs";
import type { DataPlace } from "../layer/data-place.js";
import type { HostLayer } from "../layer/host-layer.js";
import type { RealDir } from "../layer/real-dir.js";
import type { CopyUpJob } from "../copy-up/copy-up-job.js";
import type { InodeIo } from "../io/inode-io.js";
import type { FormerId } from "./node-table.js";
import type { IndexEntry } from "./link-index.js";

/** A name of a node: in which directory of the merged tree. */
export interface Dentry {
  parent: Node;
  name: ByteName;
}

export class Node {
  /** References the kernel holds on `id`. */
  lookups = 0;
  /** The kernel was told its id. */
  shown = false;
  inoLo = 0;
  inoHi = 0;
  /** First name; parent undefined for the root and for a node without a name left. */
  parent: Node | undefined = undefined;
  name: ByteName = "";
  /** Further names: hard links. */
  others: Dentry[] | undefined = undefined;
  /** Not a directory: the directory of the layer it lies in, and its name there. */
  dir: RealDir | undefined = undefined;
  realName: ByteName = "";
  /** A metadata-only copy: where its data lies. */
  data: DataPlace | undefined = undefined;
  /** A directory: the directories it is merged from, top first. */
  dirs: RealDir[] | undefined = undefined;
  /** Children that are known, by name. A directory with known children is not let go. */
  children: Map<ByteName, Node> | undefined = undefined;
  /** O_PATH descriptor of an object without a name, or -1. */
  fd = -1;
  /** The path it was last known by, once it has no name. */
  lastPath: string | undefined = undefined;
  /** A directory that hides everything below it: made over a whiteout, or marked so. */
  opaque = false;
  /** Its I/O state in the kernel while something is or was open; see io/inode-io.ts. */
  io: InodeIo | undefined = undefined;
  /** Further ids that the kernel uses: see NodeTable.renumber and addId. */
  formerIds = 0;
  /** The one of them for opens whose bytes must pass us: see io/route-open.ts. */
  apart: FormerId | undefined = undefined;
  /** Opens of it that are to come again: see io/reroutes.ts. */
  reroutes = 0;
  /** Granted for writing once: the kernel may hold mappings that change it without telling; attributes are not cached. */
  writtenPastUs = false;
  /** The copy-up under way: everybody waits for the same one. */
  copyUp: CopyUpJob | undefined = undefined;
  /** Where it is written down, or 0: see journal/overlay-journal.ts. */
  slot = 0;
  /** Names in it of nodes that an earlier process knew and this one has not looked at yet: see restore/revival.ts. */
  dormantChildren = 0;
  /** Counts changes of names and place, so that a decision's wait can be checked for what happened meanwhile. */
  version = 0;
  /** Key in the table of hard links of the upper layer, where it is in it. */
  linkKey: number | undefined = undefined;
  /** Key in the table of hard links of lower layers: its object there has several names. */
  lowerLinkKey: string | undefined = undefined;
  /** Its object lies in the index of hard links, whatever its names are. */
  indexed: IndexEntry | undefined = undefined;

  constructor(
    public id: NodeId,
    /** S_IFMT bits. */
    readonly kind: number,
  ) {}

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
