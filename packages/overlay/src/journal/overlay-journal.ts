/**
 * The overlay's journal: the state that another process needs to take over, in terms of the overlay. The tables call it before
 * the kernel is told of a change. A record that the kernel was never told of is a leak at worst.
 *
 * A node is written down when the kernel is first told its id, with the directories above it. The place of its object is not
 * written down, since its name leads there.
 */
import { type Journal, type LinkKey, NodeFlag } from "@sluice/journal";
import { Errno, type NodeId, ROOT_ID } from "@sluice/vfs";
import type { OpenDirectory, OpenFile } from "../handles/handle-table.js";
import type { FdStore, Survival } from "../contract/survival.js";
import { closeFd } from "../layer/system-calls.js";
import { writeListing } from "./stored-listing.js";
import type { Dentry, Node, NodeAlias } from "../node/node.js";

/** Keys of the store. The lowest two bits tell the kind of number. */
export const storeKey = {
  node: (id: NodeId): bigint => BigInt(id) << 2n,
  backing: (id: number): bigint => (BigInt(id) << 2n) | 1n,
  listing: (handle: number): bigint => (BigInt(handle) << 2n) | 2n,
};

function linkKeyOf(text: string): LinkKey {
  const [device = 0, hi = 0, lo = 0] = text.split(":").map(Number);
  return { lo, hi, device };
}

export const MODES = ["cached", "direct", "passthrough", "passthrough-direct"] as const;

export class OverlayJournal {
  readonly records: Journal;
  readonly #store: FdStore;
  /** Backing files whose descriptor is in the store. */
  readonly #storedBackings = new Set<number>();

  /** `writesAll`: all that the kernel knows; else only the nodes whose objects go, and the directories above them. */
  constructor(
    survival: Survival,
    private readonly writesAll = true,
  ) {
    this.records = survival.journal;
    this.#store = survival;
  }

  // --- hidden names ----------------------------------------------------------------------------------------------

  /** Listings that the kernel caches may lack hidden names. */
  mayHaveHidden(root: Node): boolean {
    return this.records.nodes.has(root.slot, NodeFlag.hidesNames);
  }

  hidesNames(root: Node, hides: boolean): void {
    this.records.nodes.flag(root.slot, NodeFlag.hidesNames, hides);
  }

  // --- nodes -----------------------------------------------------------------------------------------------------

  /** The kernel is about to be told of the node once more. */
  entered(node: Node): void {
    if (node.slot !== 0) this.records.nodes.setLookups(node.slot, node.lookups);
    else if (this.writesAll) this.#record(node);
  }

  lookupsChanged(of: Node | NodeAlias): void {
    if (of.slot !== 0) this.records.nodes.setLookups(of.slot, Math.max(0, of.lookups));
  }

  /** Its slot, or 0 if there is no room. If the node is not written down yet, it is now, with all directories above it. */
  slotOf(node: Node): number {
    if (node.slot === 0) this.#record(node);
    return node.slot;
  }

  /** Does its record lead to it without its object? Not if there was no room for the record, or for its present name. */
  leadsTo(node: Node, parent: Node): boolean {
    const slot = this.slotOf(node);
    return slot !== 0 && this.records.nodes.hasName(slot, parent.slot, node.name);
  }

  #record(node: Node): void {
    if (node.parent === undefined || node.parent.slot !== 0) return this.#recordOne(node);
    const chain: Node[] = [];
    for (let at: Node | undefined = node; at !== undefined && at.slot === 0; at = at.parent) chain.push(at);
    for (let next = chain.pop(); next !== undefined; next = chain.pop()) this.#recordOne(next);
  }

  #recordOne(node: Node): void {
    const { nodes } = this.records;
    // No room was left for its directory.
    if (node.parent?.slot === 0) return;
    const flags = (node.shown ? NodeFlag.shown : 0) | (node.writtenPastUs ? NodeFlag.writtenPastUs : 0);
    node.slot = nodes.addNode(node, flags, node.parent?.slot ?? 0, node.name);
    if (node.slot === 0) return;
    if (node.others !== undefined) for (const other of node.others) nodes.addName(node.slot, this.slotOf(other.parent), other.name);
    if (node.linkKey !== undefined) this.linked(node, node.linkKey);
    if (node.lowerLinkKey !== undefined) this.lowerLinked(node, node.lowerLinkKey);
    if (node.partedKeys !== undefined) this.parted(node, node.partedKeys[0] as string);
    if (node.fd < 0) return;
    this.storeFd(node, node.fd);
    this.nameless(node);
  }

  gone(of: Node | NodeAlias): void {
    if (of.slot === 0) return;
    if (this.records.nodes.has(of.slot, NodeFlag.nameless)) this.#store.drop(storeKey.node(of.id));
    this.records.nodes.remove(of.slot);
    of.slot = 0;
  }

  attached(node: Node, at: Dentry): void {
    if (node.slot !== 0) this.records.nodes.addName(node.slot, this.slotOf(at.parent), at.name);
  }

  detached(node: Node, at: Dentry): void {
    if (node.slot !== 0 && at.parent.slot !== 0) this.records.nodes.removeName(node.slot, at.parent.slot, at.name);
  }

  renamed(node: Node, from: Dentry, to: Dentry): void {
    if (node.slot === 0) return;
    const target = this.slotOf(to.parent);
    this.records.nodes.changeName(node.slot, { parent: from.parent.slot, name: from.name }, { parent: target, name: to.name });
  }

  /** Its object has no name and is reached by `node.fd`, which `storeFd` stored; or has one again. */
  nameless(node: Node): void {
    if (node.slot === 0) return;
    if (node.fd < 0) {
      if (!this.records.nodes.has(node.slot, NodeFlag.nameless)) return;
      this.records.nodes.flag(node.slot, NodeFlag.nameless, false);
      this.#store.drop(storeKey.node(node.id));
      return;
    }
    this.records.nodes.setNameless(node.slot, node.top.layer.index, node.lastPath ?? "");
  }

  /** Stores a descriptor of the node's object: before its last name goes. */
  storeFd(node: Node, fd: number): void {
    if (node.slot !== 0) this.#store.store(storeKey.node(node.id), fd);
  }

  /** A descriptor that was stored by an earlier process is of no use any more. */
  discard(key: bigint, fd: number): void {
    closeFd(fd);
    this.#store.drop(key);
  }

  linked(node: Node, ino: number): void {
    if (node.partedKeys !== undefined) return;
    const key = { lo: ino >>> 0, hi: Math.floor(ino / 2 ** 32), device: 0 };
    if (node.slot !== 0) this.records.nodes.setLink(node.slot, NodeFlag.linked, key);
  }

  lowerLinked(node: Node, text: string | undefined): void {
    if (node.slot === 0) return;
    // The file may be known by its copy already, which replaces this key.
    if (text === undefined) return this.records.nodes.flag(node.slot, NodeFlag.lowerLinked, false);
    this.records.nodes.setLink(node.slot, NodeFlag.lowerLinked, linkKeyOf(text));
  }

  /** A record has one key. That of the lower file cannot be found again without it, and the inode number of the copy can. */
  parted(node: Node, text: string): void {
    if (node.slot !== 0) this.records.nodes.setLink(node.slot, NodeFlag.lowerLinked | NodeFlag.parted, linkKeyOf(text));
  }

  inoChanged(node: Node): void {
    if (node.slot !== 0) this.records.nodes.setIno(node.slot, node.inoLo, node.inoHi);
  }

  writtenPastUs(node: Node): void {
    if (node.slot !== 0) this.records.nodes.flag(node.slot, NodeFlag.writtenPastUs, true);
  }

  /** The node has one more id. */
  aliased(alias: NodeAlias): void {
    if (!this.writesAll) return;
    const { node } = alias;
    const flags = (alias.io.observedOnly ? NodeFlag.observedOnly : 0) | (node.observedAlias === alias ? NodeFlag.current : 0);
    alias.slot = this.records.nodes.addAlias(alias.id, this.slotOf(node), { lookups: alias.lookups, flags });
  }

  /** After `aliased` took the former id down: one of both ids is the node's at any time, perhaps both. */
  renumbered(node: Node): void {
    if (node.slot === 0) return;
    this.records.nodes.setId(node.slot, node.id);
    this.records.nodes.setLookups(node.slot, 0);
  }

  aliasChanged(alias: NodeAlias | undefined): void {
    if (alias === undefined || alias.slot === 0) return;
    this.records.nodes.flag(alias.slot, NodeFlag.observedOnly, alias.io.observedOnly);
    this.records.nodes.flag(alias.slot, NodeFlag.current, alias.node.observedAlias === alias);
  }

  // --- open files ------------------------------------------------------------------------------------------------

  /** `request`: where the request is written down that the kernel learns of it by; it does not know of it before that is answered. */
  opened(file: OpenFile, request: number): void {
    const { handle, nodeId, write, flags, node } = file;
    const mode = MODES.indexOf(file.mode);
    const layer = file.backing?.layer.index ?? file.layer?.index ?? 0;
    const backingId = file.backing?.id ?? 0;
    const record = { handle, node: this.slotOf(node), nodeId, mode, write, flags, layer, backingId };
    file.slot = this.records.handles.addFile(record, this.#openedBy(request));
  }

  /** Attaches opaque state of the gate to an open file. */
  attach(file: OpenFile, persisted: string): void {
    if (file.slot === 0 || this.records.handles.attach(file.slot, persisted) || file.watch === undefined) return;
    // The next server would not know of its duties.
    this.records.handles.setRefused(file.slot, Errno.EACCES);
  }

  /** Its transfers are refused from now on; undefined: no more. */
  withheld(file: OpenFile, errno: number | undefined): void {
    if (file.slot !== 0) this.records.handles.setRefused(file.slot, errno ?? 0);
  }

  #openedBy(slot: number): { slot: number; unique: number } {
    return { slot, unique: this.records.requests.uniqueOf(slot) };
  }

  openedDirectory(directory: OpenDirectory, request: number): void {
    directory.slot = this.records.handles.addDirectory(directory.handle, this.slotOf(directory.node), this.#openedBy(request));
  }

  /** How its names are read from now on: as the layer has them, or by a list of `rows`. */
  reads(directory: OpenDirectory, rows: number): void {
    if (directory.slot === 0) return;
    const { stream } = directory;
    const reading = stream !== undefined ? stream.dir.layer.index + 2 : 1;
    this.records.handles.setReading(directory.slot, reading, rows);
  }

  /** The reader has not seen all of its list, and is told positions in it. */
  storeListing(directory: OpenDirectory): void {
    if (directory.slot === 0 || directory.storedListing || directory.listing === undefined) return;
    const fd = writeListing(directory.listing);
    if (fd < 0) return;
    directory.storedListing = true;
    this.#store.store(storeKey.listing(directory.handle), fd);
    closeFd(fd);
  }

  dropListing(handle: number): void {
    this.#store.drop(storeKey.listing(handle));
  }

  closed(slot: number): void {
    if (slot !== 0) this.records.handles.remove(slot);
  }

  /** Stores the files that the kernel has open, since the node's object is about to be another one: no name will lead to them. */
  storeBackings(node: Node): void {
    for (const file of node.io?.handles ?? []) {
      const { backing } = file;
      if (backing === undefined || this.#storedBackings.has(backing.id)) continue;
      this.#storedBackings.add(backing.id);
      this.#store.store(storeKey.backing(backing.id), backing.fd);
    }
  }

  /** A registration outlives the last close of the node's file; 0: none does. Nobody else could end it. */
  backingCached(node: Node, id: number): void {
    if (node.slot !== 0) this.records.nodes.setCachedBacking(node.slot, id);
  }

  /** It is stored already, by the process before. */
  backingIsStored(id: number): void {
    this.#storedBackings.add(id);
  }

  backingClosed(id: number): void {
    if (this.#storedBackings.delete(id)) this.#store.drop(storeKey.backing(id));
  }

  rerouted(pid: number, node: Node, observed: boolean): number {
    return this.records.reroutes.add(pid, this.slotOf(node), observed);
  }

  /** The root is known from the start. */
  begin(root: Node): void {
    if (root.id === ROOT_ID) this.#record(root);
  }
}
