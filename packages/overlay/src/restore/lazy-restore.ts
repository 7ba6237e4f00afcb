/**
 * Restores nodes by their records when somebody asks for them: by id, by name, or as another name of a file. They are nodes of an
 * earlier process, or their objects were let go of (idle-objects.ts). A node's name leads to its object in the layers, after its
 * directories are restored. A node without a name has a stored descriptor. A node that is not found any more is ESTALE.
 */
import { NodeFlag, type NodeRecords, RecordKind } from "@sluice/journal";
import type { ByteName, KernelPort, NodeId } from "@sluice/vfs";
import { InodeIo } from "../node/inode-io.js";
import { storeKey } from "../journal/overlay-journal.js";
import { placeNowhere } from "../node/admit.js";
import { type Dentry, Node, NodeAlias, pathAt } from "../node/node.js";
import { addDentry } from "../node/dentries.js";
import type { ForgottenNode } from "../node/forgotten-nodes.js";
import type { RestorableNodes } from "../node/node-ports.js";
import { PendingLinks } from "./pending-links.js";
import { dropPendingName, movePendingName, namesOfPending } from "./pending-names.js";
import { PendingRecords } from "./pending-records.js";
import { lookForBareName, lowerKeyOf, placeByName, type PlacingContext } from "./place-by-name.js";

/** The number of records that are looked at between two looks at the clock. */
const SWEEP_STEP = 256;

/** The nodes, and the layers that their names lead into. */
export type RestoreContext = PlacingContext & { readonly port: Pick<KernelPort, "closeBacking"> };

/** The state in which another process left the records; undefined if there was none. */
interface Left {
  readonly stored: Map<bigint, number>;
}

export class LazyRestore implements RestorableNodes {
  readonly #core: RestoreContext;
  readonly #records: NodeRecords;
  readonly #stored: Map<bigint, number>;
  readonly #pending: PendingRecords;
  /** Undefined without an earlier process: objects of files with several names stay. */
  readonly #links: PendingLinks | undefined;
  /** Of pending nodes and aliases. */
  #size: number;

  constructor(core: RestoreContext, records: NodeRecords, left: Left | undefined) {
    this.#core = core;
    this.#records = records;
    this.#stored = left?.stored ?? new Map<bigint, number>();
    this.#pending = new PendingRecords(records, core.nodes);
    this.#links = left === undefined ? undefined : new PendingLinks(records);
    this.#size = left === undefined ? 0 : records.size;
  }

  /** A node has its record alone from now on. */
  added(): void {
    this.#size++;
  }

  /** The number of nodes and aliases that are pending: nobody asked for them yet. */
  get size(): number {
    return this.#size;
  }

  names(): IterableIterator<Dentry> {
    return namesOfPending(this.#records, this);
  }

  remembered(): IterableIterator<ForgottenNode> {
    return this.#pending.remembered();
  }

  showsAt(directory: Node, path: readonly ByteName[], node: Node): boolean {
    return this.#pending.showsAt(directory, path, node);
  }

  /** Takes the root over, which is in use from the start. */
  adoptRoot(root: Node): void {
    root.slot = this.#records.byId(root.id);
    if (root.slot === 0) return;
    this.#size--;
    root.pendingChildren = this.#records.childrenOf(root.slot);
    root.lookups = Math.max(1, this.#records.lookupsOf(root.slot));
  }

  /** A stored descriptor is that of a node without a name that nobody asked for yet. */
  expects(key: bigint): boolean {
    const slot = this.slotOf(Number(key >> 2n));
    return slot !== 0 && key === storeKey.node(Number(key >> 2n)) && this.#records.has(slot, NodeFlag.nameless);
  }

  isPending(slot: number): boolean {
    return this.#pending.has(slot);
  }

  /** A pending node, or 0. */
  slotOf(id: NodeId): number {
    return this.#pending.byId(id);
  }

  slotAt(parent: Node, name: ByteName): number {
    return this.#pending.byName(parent, name);
  }

  /** A pending node lost a name. If it was the last one, the record gets the layer of its object. */
  dropName(slot: number, at: Dentry, layer: number): void {
    dropPendingName(this.#records, slot, at);
    if (this.#records.firstName(slot) === 0) this.#records.setNameless(slot, layer, pathAt(at.parent, at.name));
  }

  /** One of its names is another one by now. */
  moveName(slot: number, from: Dentry, to: Dentry): void {
    movePendingName(this.#records, slot, { from, to, target: this.#core.journal?.slotOf(to.parent) ?? 0 });
  }

  /**
   * Drops records that were written for the kernel, which was not told any more, or forgot them meanwhile; and ends cached registrations
   * of backing files, whose descriptors are gone. It looks at every record, so it takes turns.
   */
  *sweep(): Generator<void, void, boolean> {
    const records = this.#records;
    for (let slot = records.mark - 1; slot > 0; slot--) {
      if (slot % SWEEP_STEP === 0) yield;
      if (!this.isPending(slot)) continue;
      this.#endCachedBacking(slot);
      if (records.lookupsOf(slot) === 0 && records.kindOf(slot) === RecordKind.node && this.#isLeaf(slot)) this.drop(slot);
    }
  }

  /** Its descriptor is gone: an open of the file registers it again. */
  #endCachedBacking(slot: number): void {
    const id = this.#records.takeCachedBacking(slot);
    if (id !== 0) this.#core.port.closeBacking(id);
  }

  /** No recorded name is in it, and it has no alias. */
  #isLeaf(slot: number): boolean {
    return this.#records.childrenOf(slot) === 0;
  }

  /** True if the id is known now. */
  restoreId(id: NodeId): boolean {
    const slot = this.slotOf(id);
    if (slot === 0) return false;
    return this.restoreSlot(this.#records.kindOf(slot) === RecordKind.alias ? this.#records.nodeOf(slot) : slot) !== undefined;
  }

  restoreChild(parent: Node, name: ByteName): Node | undefined {
    const slot = this.slotAt(parent, name);
    return slot === 0 ? undefined : this.restoreSlot(slot);
  }

  restoreLinked(ino: number): Node | undefined {
    const slot = this.#links?.upper(ino) ?? 0;
    if (slot !== 0 && this.isPending(slot)) return this.restoreSlot(slot);
    // The records of parted files have another key.
    const parted = this.#links?.takeParted().map((each) => (this.isPending(each) ? this.restoreSlot(each) : undefined));
    return parted?.find((node) => node?.linkKey === ino);
  }

  restoreLowerLinked(key: string): void {
    for (const slot of this.#links?.takeLower(key) ?? []) if (this.isPending(slot)) this.restoreSlot(slot);
  }

  /** The kernel forgets a node that nobody asked for: it need not be looked for. */
  forget(id: NodeId, count: number): void {
    const slot = this.slotOf(id);
    if (slot === 0) return;
    const left = this.#records.lookupsOf(slot) - count;
    const plain = this.#records.kindOf(slot) === RecordKind.node && this.#isLeaf(slot);
    if (left > 0) return this.#records.setLookups(slot, left);
    if (plain) return this.drop(slot);
    if (this.restoreId(id)) this.#core.nodes.forget(id, count);
    else this.#records.setLookups(slot, 0);
  }

  /** Restores the node of a record; undefined if its object is not there any more. */
  restoreSlot(slot: number): Node | undefined {
    const chain: number[] = [];
    let at = slot;
    // As many at most as there are, should the records be damaged and lead in a circle.
    for (; at !== 0 && this.isPending(at) && chain.length < this.#records.mark; at = this.#parentSlot(at)) {
      if (!this.#isSound(at)) return undefined;
      chain.push(at);
    }
    let node = at === 0 ? undefined : this.#alive(at);
    if (node === undefined && at !== 0) return undefined;
    for (let next = chain.pop(); next !== undefined; next = chain.pop()) {
      node = this.#build(next);
      if (node === undefined) {
        this.#reportMissing(next);
        return undefined;
      }
    }
    return node;
  }

  #isSound(slot: number): boolean {
    if (this.#records.isSound(slot)) return true;
    this.#core.events.anomaly("the record of a node is damaged", { nodeId: this.#records.idOf(slot) });
    return false;
  }

  #reportMissing(slot: number): void {
    const detail = {
      nodeId: this.#records.idOf(slot),
      names: this.#pending.rememberedOf(slot)?.names.map(({ name }) => name) ?? [],
      nameless: this.#records.has(slot, NodeFlag.nameless),
    };
    this.#core.events.anomaly("a node that the kernel knows is gone from its place", detail);
  }

  #parentSlot(slot: number): number {
    const name = this.#records.firstName(slot);
    return name === 0 ? 0 : this.#records.parentOf(name);
  }

  #alive(slot: number): Node | undefined {
    return this.#core.nodes.get(this.#records.idOf(slot));
  }

  #build(slot: number): Node | undefined {
    const records = this.#records;
    const node = new Node(records.idOf(slot), records.modeOf(slot));
    node.slot = slot;
    const nameless = records.has(slot, NodeFlag.nameless);
    const there = nameless ? this.#placeByDescriptor(node) : this.#placeByNames(node);
    if (!there) return undefined;
    node.lookups = records.lookupsOf(slot);
    node.shown = records.has(slot, NodeFlag.shown);
    node.writtenPastUs = records.has(slot, NodeFlag.writtenPastUs);
    // The process may have ended before it noted the number of a parted copy, which is the object's own.
    if (nameless || node.partedKeys === undefined) {
      node.inoLo = records.inoLo(slot);
      node.inoHi = records.inoHi(slot);
    }
    this.#endCachedBacking(slot);
    this.#size--;
    this.#core.nodes.adopt(node);
    if (node.isDirectory) node.pendingChildren = records.childrenOf(slot);
    else for (const alias of this.#aliasesOf(slot)) this.#buildAlias(node, alias);
    // Without a journal a record stands for the object, and is of no use beside it.
    if (this.#core.journal === undefined && !node.isDirectory) this.#dropRecord(node);
    return node;
  }

  #dropRecord(node: Node): void {
    this.#records.remove(node.slot);
    node.slot = 0;
  }

  #aliasesOf(slot: number): number[] {
    const records = this.#records;
    const aliases: number[] = [];
    for (let alias = records.nextAlias(slot); alias !== 0 && aliases.length < records.mark; alias = records.nextAlias(alias))
      aliases.push(alias);
    return aliases;
  }

  #placeByDescriptor(node: Node): boolean {
    const key = storeKey.node(node.id);
    const fd = this.#stored.get(key);
    const layer = this.#core.layers[this.#records.layerOf(node.slot)];
    if (fd === undefined || layer === undefined) return false;
    this.#stored.delete(key);
    node.fd = fd;
    node.lastPath = this.#records.lastPathOf(node.slot);
    placeNowhere(node, layer);
    const lowerKey = lowerKeyOf(this.#records, node.slot);
    if (!node.inUpper) node.lowerLinkKey = lowerKey;
    else if (lowerKey !== undefined) this.#core.nodes.markParted(node, lowerKey);
    this.#dropNames(node.slot);
    return true;
  }

  /** It was about to get a name when the process ended. The request comes again, and gives it the name. */
  #dropNames(slot: number): void {
    const records = this.#records;
    for (let ref = records.firstName(slot); ref !== 0; ref = records.firstName(slot)) {
      const parent = records.parentOf(ref);
      const node = this.isPending(parent) ? undefined : this.#alive(parent);
      if (node !== undefined) node.pendingChildren--;
      records.removeName(slot, parent, records.nameText(ref));
    }
  }

  /** Its first name that leads to it says where it lies; all that are left become its names. */
  #placeByNames(node: Node): boolean {
    const records = this.#records;
    let placed = false;
    for (let ref = records.firstName(node.slot); ref !== 0; ref = records.nextName(ref)) {
      const parent = this.nodeOf(records.parentOf(ref));
      if (parent === undefined) continue;
      const name = records.nameText(ref);
      if (placed) lookForBareName(this.#core, node, { parent, name });
      else placed = placeByName(this.#core, records, node, { parent, name });
      addDentry(node, parent, name);
      parent.pendingChildren--;
    }
    if (!placed) this.#takeBack(node);
    return placed;
  }

  #takeBack(node: Node): void {
    for (const { parent, name } of [{ parent: node.parent, name: node.name }, ...(node.others ?? [])]) {
      if (parent === undefined) continue;
      parent.children?.delete(name);
      parent.pendingChildren++;
    }
  }

  /** The node of a record, which is restored if it is pending; undefined if it is not there any more. */
  nodeOf(slot: number): Node | undefined {
    return this.isPending(slot) ? this.restoreSlot(slot) : this.#alive(slot);
  }

  #buildAlias(node: Node, slot: number): void {
    const records = this.#records;
    this.#size--;
    // It was to become an alias when the process ended, and the node had not got its new id.
    if (records.idOf(slot) === node.id) return records.remove(slot);
    const alias = new NodeAlias(records.idOf(slot), node, new InodeIo(), records.lookupsOf(slot));
    alias.slot = slot;
    alias.io.observedOnly = records.has(slot, NodeFlag.observedOnly);
    this.#core.nodes.adoptAlias(alias);
    if (records.has(slot, NodeFlag.current)) node.observedAlias = alias;
  }

  /** The node of a record is gone, or the kernel was never told of it. */
  drop(slot: number): void {
    const records = this.#records;
    if (!this.#isSound(slot)) return;
    this.#size--;
    const parents: number[] = [];
    for (let ref = records.firstName(slot); ref !== 0; ref = records.nextName(ref)) parents.push(records.parentOf(ref));
    if (records.has(slot, NodeFlag.nameless)) this.#discard(records.idOf(slot));
    const remembered =
      records.kindOf(slot) === RecordKind.node && records.has(slot, NodeFlag.shown) ? this.#pending.rememberedOf(slot) : undefined;
    if (remembered !== undefined) this.#core.nodes.forgotten.add(remembered);
    records.remove(slot);
    for (const parent of parents) this.#dropChild(parent);
  }

  #discard(id: NodeId): void {
    const key = storeKey.node(id);
    const fd = this.#stored.get(key);
    if (fd === undefined) return;
    this.#stored.delete(key);
    this.#core.journal?.discard(key, fd);
  }

  #dropChild(parent: number): void {
    if (this.isPending(parent)) {
      if (this.#records.lookupsOf(parent) === 0 && this.#isLeaf(parent)) this.drop(parent);
      return;
    }
    const node = this.#alive(parent);
    if (node === undefined) return;
    node.pendingChildren--;
    this.#core.nodes.letGo(node);
  }
}
