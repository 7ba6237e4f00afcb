/**
 * Every node the kernel knows, by nodeId, with its lookup counts. The one place that holds this state, so that it can be
 * journaled. A node can have aliases: while a reader passes through to the lower file under the old id, the copied-up file is
 * served under a new one (see inode-io.ts).
 */
import { type ByteName, type NodeId, ROOT_ID } from "@sluice/vfs";
import { type ForgottenNode, ForgottenNodes, nameSeen, recordOf } from "./forgotten-nodes.js";
import { addDentry, dropDentry, leaveDirectories, moveDentry } from "./dentries.js";
import type { NodeJournal, RestorableNodes } from "./node-ports.js";
import { InodeIo } from "./inode-io.js";
import { IdPages } from "./id-pages.js";
import { type Dentry, Node, NodeAlias } from "./node.js";

/** So many new or forgotten nodes, with all that comes with them, take up to 100 KB. */
const GROWTH = 64;

export class NodeTable {
  readonly #byId = new IdPages<Node | NodeAlias>();
  /** Nodes of the upper layer with several names, by inode number there: so that each name finds the same node. */
  readonly #byLink = new Map<number, Node>();
  /**
   * Nodes of lower files with several names, by device and inode number. One where the names stay one file (with the index
   * of hard links, or without an upper layer); else separate ones, of which policy sees all names.
   */
  readonly #lowerLinks = new Map<string, Set<Node>>();
  /** Of nodes that are no more. */
  readonly forgotten = new ForgottenNodes();
  readonly #release: (node: Node) => void;
  readonly #grew: () => void;
  #unlooked = 0;
  /** The place of the records of nodes; undefined if there are none. */
  #journal: NodeJournal | undefined;
  /** Nodes without an object: of an earlier process, or let go of. */
  restorable: RestorableNodes | undefined = undefined;
  /** Counts the searches for objects that can go: nodes that are asked for get it. Calls under way count from 1. */
  clock = 1;
  /** Counts what may change the path of a directory's children. */
  directoryMoves = 0;
  #nextId = ROOT_ID;
  #reservedId = Number.MAX_SAFE_INTEGER;

  /** `grew`: called after every so many. */
  constructor(release: (node: Node) => void, journal: NodeJournal | undefined, grew: () => void = () => undefined) {
    this.#release = release;
    this.#grew = grew;
    this.#journal = journal;
    if (journal !== undefined) this.#reservedId = ROOT_ID;
  }

  get size(): number {
    return this.#byId.size + (this.restorable?.size ?? 0);
  }

  /** The number of nodes and aliases with an object. */
  get objects(): number {
    return this.#byId.size;
  }

  /** From now on nodes whose objects go are written down. There was no journal. */
  writeDown(journal: NodeJournal): void {
    this.#journal = journal;
  }

  #newId(): NodeId {
    if (this.#nextId >= this.#reservedId) this.#reservedId = this.#journal?.records.reserveIds(this.#nextId) ?? this.#reservedId;
    this.#countGrowth();
    return this.#nextId++;
  }

  #countGrowth(): void {
    if (++this.#unlooked < GROWTH) return;
    this.#unlooked = 0;
    this.#grew();
  }

  /** Goes on behind the ids that a process before this one may have given away. */
  skipIds(next: NodeId): void {
    this.#nextId = this.#reservedId = Math.max(this.#nextId, next);
  }

  get nextId(): NodeId {
    return this.#nextId;
  }

  /** Whatever somebody may have a handle of, and the directories above it. */
  *remembered(): IterableIterator<ForgottenNode> {
    for (const node of this.all()) {
      const record = recordOf(node);
      if (record !== undefined) yield record;
    }
    if (this.restorable !== undefined) yield* this.restorable.remembered();
    yield* this.forgotten.all();
  }

  /** A node that was known before, under its own id. */
  adopt(node: Node): void {
    node.usedAt = this.clock;
    this.#countGrowth();
    this.#byId.set(node.id, node);
    if (node.linkKey !== undefined) this.#byLink.set(node.linkKey, node);
    if (node.lowerLinkKey !== undefined) this.rememberLowerLink(node, node.lowerLinkKey);
  }

  make(kind: number): Node {
    const node = new Node(this.#newId(), kind);
    node.usedAt = this.clock;
    this.#byId.set(node.id, node);
    return node;
  }

  /** The object of a node goes, and its record stays. Nobody uses it: see restore/idle-objects.ts. */
  letObjectGo(node: Node, parent: Node): void {
    this.#byId.delete(node.id);
    parent.children?.delete(node.name);
    parent.pendingChildren++;
    this.#release(node);
  }

  /** Gives a new node, not yet shown to the kernel, the id it was known by at this place. */
  recall(node: Node, parent: Node, name: ByteName): void {
    const id = this.forgotten.take(node, parent, name);
    if (id === 0) return;
    this.#byId.delete(node.id);
    node.id = id;
    // Somebody may still have its handle, even if only a listing looks at it now and lets go of it again.
    node.shown = true;
    this.#byId.set(id, node);
  }

  /** The node of an id, its own or an alias. */
  get(id: NodeId): Node | undefined {
    const found = this.#find(id);
    const node = found instanceof NodeAlias ? found.node : found;
    if (node !== undefined) node.usedAt = this.clock;
    return node;
  }

  #find(id: NodeId): Node | NodeAlias | undefined {
    const found = this.#byId.get(id);
    if (found !== undefined || this.restorable === undefined) return found;
    return this.restorable.restoreId(id) ? this.#byId.get(id) : undefined;
  }

  /** The known node of a name in a directory. */
  child(parent: Node, name: ByteName): Node | undefined {
    const known = parent.children?.get(name);
    if (known !== undefined) known.usedAt = this.clock;
    return known !== undefined || parent.pendingChildren === 0 ? known : this.restorable?.restoreChild(parent, name);
  }

  /** Does the object at a path, another one than `node`, have the same inode number for the kernel? Restores nothing. */
  isShownAt(root: Node, path: readonly ByteName[], node: Node): boolean {
    let at = root;
    for (const [index, name] of path.entries()) {
      const child = at.children?.get(name);
      if (child === undefined) return at.pendingChildren > 0 && this.restorable?.showsAt(at, path.slice(index), node) === true;
      at = child;
    }
    return at !== node && at.inoLo === node.inoLo && at.inoHi === node.inoHi;
  }

  /** The kernel is told of the node once more. */
  enter(node: Node): void {
    node.lookups++;
    node.shown = true;
    this.#journal?.entered(node);
  }

  /** The same of another id of a node, instead of its own. */
  enterInstead(alias: NodeAlias): void {
    alias.lookups++;
    this.#journal?.lookupsChanged(alias);
    alias.node.lookups--;
    this.#journal?.lookupsChanged(alias.node);
  }

  /** It has an object; one whose record alone is there has not. */
  isLive(id: NodeId): boolean {
    return this.#byId.get(id) !== undefined;
  }

  alias(id: NodeId): NodeAlias | undefined {
    const found = this.#find(id);
    return found instanceof NodeAlias ? found : undefined;
  }

  /** Gives a node a new id; the kernel continues with the old one for its open files. */
  renumber(node: Node, io: InodeIo): void {
    const alias = new NodeAlias(node.id, node, io, node.lookups);
    this.adoptAlias(alias);
    this.#journal?.aliased(alias);
    node.id = this.#newId();
    node.lookups = 0;
    node.io = undefined;
    this.#byId.set(node.id, node);
    this.#journal?.renumbered(node);
  }

  /** A new alias, or one that was known before under this id. */
  adoptAlias(alias: NodeAlias): void {
    const { node } = alias;
    this.#byId.set(alias.id, alias);
    node.aliases = [...(node.aliases ?? []), alias];
  }

  #removeAlias(alias: NodeAlias): void {
    const { node } = alias;
    this.#byId.delete(alias.id);
    const left = node.aliases?.filter((other) => other !== alias);
    node.aliases = left?.length === 0 ? undefined : left;
    if (node.observedAlias === alias) node.observedAlias = undefined;
  }

  /** Gives the node an alias, with an I/O state of its own. */
  addAlias(node: Node): NodeAlias {
    const added = new NodeAlias(this.#newId(), node, new InodeIo(), 0);
    this.adoptAlias(added);
    this.#journal?.aliased(added);
    return added;
  }

  attach(node: Node, parent: Node, name: ByteName): void {
    // One that was there before: a new directory has no children.
    if (node.isDirectory && node.children !== undefined) this.directoryMoves++;
    if (node.unseenNames !== undefined) nameSeen(node, parent, name);
    addDentry(node, parent, name);
    if (node.slot !== 0) this.#journal?.attached(node, { parent, name });
  }

  /** Takes a name from a node. False when that was its last one. */
  detach(node: Node, parent: Node, name: ByteName): boolean {
    if (node.isDirectory) this.directoryMoves++;
    if (node.unseenNames !== undefined) nameSeen(node, parent, name);
    dropDentry(node, parent, name);
    if (node.slot !== 0) this.#journal?.detached(node, { parent, name });
    return node.parent !== undefined;
  }

  /** One of the node's names becomes another one. */
  rename(node: Node, from: Dentry, to: Dentry): void {
    if (node.isDirectory) this.directoryMoves++;
    this.#journal?.renamed(node, from, to);
    moveDentry(node, from, to);
  }

  linked(ino: number): Node | undefined {
    return this.#byLink.get(ino) ?? this.restorable?.restoreLinked(ino);
  }

  rememberLink(node: Node, ino: number): void {
    node.linkKey = ino;
    this.#byLink.set(ino, node);
    this.#journal?.linked(node, ino);
  }

  rememberLowerLink(node: Node, key: string): void {
    node.lowerLinkKey = key;
    this.#enterLowerLink(node, key);
    this.#journal?.lowerLinked(node, key);
  }

  #enterLowerLink(node: Node, key: string): void {
    const set = this.#lowerLinks.get(key) ?? new Set();
    set.add(node);
    this.#lowerLinks.set(key, set);
  }

  lowerLinks(key: string): ReadonlySet<Node> | undefined {
    this.restorable?.restoreLowerLinked(key);
    return this.#lowerLinks.get(key);
  }

  /**
   * One name of a lower file was copied up, without an index of hard links: two files by now, but of the same bytes. So policy goes on to
   * judge each of them by the names of both.
   */
  partLowerLink(node: Node): void {
    const key = node.lowerLinkKey;
    if (key === undefined) return;
    node.lowerLinkKey = undefined;
    this.markParted(node, key);
  }

  /** The node is a copy of the lower file with that key, by one of several names of it. */
  markParted(node: Node, key: string): void {
    if (node.partedKeys?.includes(key) === true) return;
    node.partedKeys = [...(node.partedKeys ?? []), key];
    this.#enterLowerLink(node, key);
    this.#journal?.parted(node, key);
  }

  /** It is known by its entry in the index of hard links from now on. */
  forgetLowerLink(node: Node): void {
    const key = node.lowerLinkKey;
    if (key === undefined) return;
    node.lowerLinkKey = undefined;
    this.#journal?.lowerLinked(node, undefined);
    this.#leaveLowerLink(node, key);
  }

  #leaveLowerLink(node: Node, key: string): void {
    const set = this.#lowerLinks.get(key);
    set?.delete(node);
    if (set?.size === 0) this.#lowerLinks.delete(key);
  }

  /** Of the upper layer, with several names. */
  linkedNodes(): IterableIterator<Node> {
    return this.#byLink.values();
  }

  /** The upper layer has become a lower one: `keyOf` gives the key there of an inode number of it. There is no journal. */
  linksMovedDown(keyOf: (ino: number) => string): void {
    for (const [ino, node] of this.#byLink) {
      node.linkKey = undefined;
      this.rememberLowerLink(node, keyOf(ino));
    }
    this.#byLink.clear();
  }

  forget(id: NodeId, count: number): void {
    const found = this.#byId.get(id);
    if (found === undefined) return this.restorable?.forget(id, count);
    found.lookups -= count;
    this.#journal?.lookupsChanged(found);
    if (found.lookups > 0) return;
    if (found instanceof NodeAlias) {
      this.#removeAlias(found);
      this.#journal?.gone(found);
      this.letGo(found.node);
      return;
    }
    this.letGo(found);
  }

  /** Keeps a node that the kernel may forget, or has never heard of, until `release`. */
  hold(node: Node): void {
    node.holds++;
  }

  release(node: Node): void {
    node.holds--;
    this.letGo(node);
  }

  /** Frees a node nobody refers to, and the parents of each of its names that were held only for it. */
  letGo(node: Node): void {
    let next: Node | undefined = node;
    while (next !== undefined && next.lookups <= 0 && next.id !== ROOT_ID && !this.#inUse(next)) {
      const { parent, others }: Node = next;
      this.#free(next);
      if (others !== undefined) this.#letParentsGo(others, parent);
      next = parent;
    }
  }

  #letParentsGo(names: readonly Dentry[], but: Node | undefined): void {
    for (const { parent } of names) if (parent !== but) this.letGo(parent);
  }

  #inUse(node: Node): boolean {
    if (node.aliases !== undefined || node.holds > 0) return true;
    return (node.children?.size ?? 0) > 0 || node.pendingChildren > 0 || (node.io?.handles.size ?? 0) > 0;
  }

  #free(node: Node): void {
    this.#byId.delete(node.id);
    this.#journal?.gone(node);
    if (node.linkKey !== undefined && this.#byLink.get(node.linkKey) === node) this.#byLink.delete(node.linkKey);
    this.forgetLowerLink(node);
    for (const key of node.partedKeys ?? []) this.#leaveLowerLink(node, key);
    if (node.shown) {
      this.forgotten.remember(node);
      this.#countGrowth();
    }
    leaveDirectories(node);
    this.#release(node);
  }

  /** The connection ended. Only a node that has no name left has a descriptor. */
  closeNameless(): void {
    for (const node of this.all()) if (node.unlinked) this.#release(node);
  }

  /** Nobody refers to anything any more. */
  clear(): void {
    this.#byId.clear();
    this.restorable = undefined;
    this.forgotten.clear();
    this.#byLink.clear();
    this.#lowerLinks.clear();
  }

  *all(): IterableIterator<Node> {
    for (const entry of this.#byId.values()) if (entry instanceof Node) yield entry;
  }
}
