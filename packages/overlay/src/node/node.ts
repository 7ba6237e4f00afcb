/** An overlay inode as we know it: its names in the merged tree, where its object lies in the layers, what is open of it. */
import { type ByteName, type NodeId, S } from "@sluice/vfs";
import type { DataLocation } from "../layer/data-location.js";
import type { HostLayer, RealDir } from "../layer/host-layer.js";
import type { ForgottenName } from "./forgotten-names.js";
import type { InodeIo } from "./inode-io.js";

/** A bit of no kind. */
const SHOWN = 1;

/** A name of a node: in which directory of the merged tree. */
export interface Dentry {
  parent: Node;
  name: ByteName;
}

/** A node's file in the index of hard links. */
export interface IndexEntry {
  /** The number of links that callers see, less the number that the upper file has. */
  nlinkDelta: number;
  /** Of the lower file, which does not change. */
  readonly lowerNlink: number;
  /** Some known name is in a lower layer only. */
  bareNames: boolean;
  /** The file system allows the file no further link. */
  full: boolean;
}

/** A nodeId that the kernel uses for a node besides its own: one that it had before, or one for observed opens. */
export class NodeAlias {
  /** Its slot in the journal, or 0. */
  slot = 0;

  constructor(
    readonly id: NodeId,
    readonly node: Node,
    readonly io: InodeIo,
    public lookups: number,
  ) {}
}

/**
 * Fields that few nodes use: directories do, and files to which something happened. They lie outside the node, since a mount
 * has many nodes and a field costs each of them eight bytes. All other nodes share one object, which nobody changes.
 */
class ColdFields {
  /** Counts changes of names and place, so that a decision's wait can be checked for what happened meanwhile. */
  version = 0;
  /** It was once granted for writing, or mediated beside a grant: mappings may change it untold, so its attributes are not cached. */
  writtenPastUs = false;
  /** The known children, by name. A directory with known children is not freed. */
  children: Map<ByteName, Node> | undefined = undefined;
  /** A directory: the directories it is merged from, top first. */
  dirs: RealDir[] | undefined = undefined;
  /** Further names: hard links. */
  others: Dentry[] | undefined = undefined;
  /** Names it had when the kernel forgot it, not looked at since: see forgotten-nodes.ts. */
  unseenNames: readonly ForgottenName[] | undefined = undefined;
  /** A metadata-only copy: the place of its data. */
  data: DataLocation | undefined = undefined;
  /** O_PATH descriptor of an object without a name, or -1. */
  fd = -1;
  /** The path it was last known by, once it has no name. */
  lastPath: string | undefined = undefined;
  /** A directory that hides everything below it: made over a whiteout, or marked so. */
  opaque = false;
  /** Further nodeIds that the kernel uses: see NodeTable.renumber and addAlias. */
  aliases: readonly NodeAlias[] | undefined = undefined;
  /** The alias that the next observed open goes to: see open/plan-open.ts. */
  observedAlias: NodeAlias | undefined = undefined;
  /** The number of operations that need it across a wait, though the kernel may not know it: see NodeTable.hold. */
  holds = 0;
  /** The number of names in it that are of pending nodes: see restore/lazy-restore.ts. */
  pendingChildren = 0;
  /** Its key in the table of hard links of the upper layer; undefined if it is not in the table. */
  linkKey: number | undefined = undefined;
  /** Key in the table of hard links of lower layers: its object there has several names. */
  lowerLinkKey: string | undefined = undefined;
  /** Keys there of files that it was copied from, by one of several names each. */
  partedKeys: readonly string[] | undefined = undefined;
  /** Its object lies in the index of hard links, whatever its names are. */
  indexed: IndexEntry | undefined = undefined;

  /** Of a file: all say nothing but `writtenPastUs`, which the record has, and `version`, which matters to calls under way alone. */
  get areRecorded(): boolean {
    return (
      this.others === undefined &&
      this.unseenNames === undefined &&
      this.data === undefined &&
      this.fd < 0 &&
      this.lastPath === undefined &&
      this.aliases === undefined &&
      this.holds === 0 &&
      this.linkKey === undefined &&
      this.lowerLinkKey === undefined &&
      this.partedKeys === undefined &&
      this.indexed === undefined
    );
  }
}

const NONE = new ColdFields();

export class Node {
  #cold = NONE;
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
  /** Its slot in the journal, or 0: see journal/overlay-journal.ts. */
  slot = 0;
  /** NodeTable.clock when it was last asked for. */
  usedAt = 0;

  /** Its kind, and whether it was shown: one field, since each costs every node eight bytes. */
  #bits: number;

  constructor(
    public id: NodeId,
    kind: number,
  ) {
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

  /**
   * It has one name, and its record tells what that does not: so the object can go, and be made again. See
   * restore/idle-objects.ts.
   */
  get isPlain(): boolean {
    return !this.isDirectory && this.parent !== undefined && (this.#cold === NONE || this.#cold.areRecorded);
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

  /** Its object and every name that is known lie in the upper layer. */
  get namedUp(): boolean {
    return this.inUpper && this.indexed?.bareNames !== true;
  }

  /** Its data, too. */
  get copiedUp(): boolean {
    return this.namedUp && this.data === undefined;
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

  // --- cold fields -----------------------------------------------------------------------------------------------

  get others(): Dentry[] | undefined {
    return this.#cold.others;
  }
  set others(value: Dentry[] | undefined) {
    if (value !== this.#cold.others) this.#own().others = value;
  }

  get unseenNames(): readonly ForgottenName[] | undefined {
    return this.#cold.unseenNames;
  }
  set unseenNames(value: readonly ForgottenName[] | undefined) {
    if (value !== this.#cold.unseenNames) this.#own().unseenNames = value;
  }

  get data(): DataLocation | undefined {
    return this.#cold.data;
  }
  set data(value: DataLocation | undefined) {
    if (value !== this.#cold.data) this.#own().data = value;
  }

  get fd(): number {
    return this.#cold.fd;
  }
  set fd(value: number) {
    if (value !== this.#cold.fd) this.#own().fd = value;
  }

  get lastPath(): string | undefined {
    return this.#cold.lastPath;
  }
  set lastPath(value: string | undefined) {
    if (value !== this.#cold.lastPath) this.#own().lastPath = value;
  }

  get opaque(): boolean {
    return this.#cold.opaque;
  }
  set opaque(value: boolean) {
    if (value !== this.#cold.opaque) this.#own().opaque = value;
  }

  get aliases(): readonly NodeAlias[] | undefined {
    return this.#cold.aliases;
  }
  set aliases(value: readonly NodeAlias[] | undefined) {
    if (value !== this.#cold.aliases) this.#own().aliases = value;
  }

  get observedAlias(): NodeAlias | undefined {
    return this.#cold.observedAlias;
  }
  set observedAlias(value: NodeAlias | undefined) {
    if (value !== this.#cold.observedAlias) this.#own().observedAlias = value;
  }

  get holds(): number {
    return this.#cold.holds;
  }
  set holds(value: number) {
    if (value !== this.#cold.holds) this.#own().holds = value;
  }

  get pendingChildren(): number {
    return this.#cold.pendingChildren;
  }
  set pendingChildren(value: number) {
    if (value !== this.#cold.pendingChildren) this.#own().pendingChildren = value;
  }

  get linkKey(): number | undefined {
    return this.#cold.linkKey;
  }
  set linkKey(value: number | undefined) {
    if (value !== this.#cold.linkKey) this.#own().linkKey = value;
  }

  get lowerLinkKey(): string | undefined {
    return this.#cold.lowerLinkKey;
  }
  set lowerLinkKey(value: string | undefined) {
    if (value !== this.#cold.lowerLinkKey) this.#own().lowerLinkKey = value;
  }

  get partedKeys(): readonly string[] | undefined {
    return this.#cold.partedKeys;
  }
  set partedKeys(value: readonly string[] | undefined) {
    if (value !== this.#cold.partedKeys) this.#own().partedKeys = value;
  }

  get indexed(): IndexEntry | undefined {
    return this.#cold.indexed;
  }
  set indexed(value: IndexEntry | undefined) {
    if (value !== this.#cold.indexed) this.#own().indexed = value;
  }

  get dirs(): RealDir[] | undefined {
    return this.#cold.dirs;
  }
  set dirs(value: RealDir[] | undefined) {
    if (value !== this.#cold.dirs) this.#own().dirs = value;
  }

  get children(): Map<ByteName, Node> | undefined {
    return this.#cold.children;
  }
  set children(value: Map<ByteName, Node> | undefined) {
    if (value !== this.#cold.children) this.#own().children = value;
  }

  get writtenPastUs(): boolean {
    return this.#cold.writtenPastUs;
  }
  set writtenPastUs(value: boolean) {
    if (value !== this.#cold.writtenPastUs) this.#own().writtenPastUs = value;
  }

  get version(): number {
    return this.#cold.version;
  }
  set version(value: number) {
    if (value !== this.#cold.version) this.#own().version = value;
  }

  #own(): ColdFields {
    if (this.#cold === NONE) this.#cold = new ColdFields();
    return this.#cold;
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
