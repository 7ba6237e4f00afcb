/**
 * Every node the kernel knows, by nodeId, with its lookup counts. The one place that holds this state, so that it can be
 * journaled. A node can have a former id as well: while a reader passes through to the lower file under the old one, the
 * copied-up file is served under a new one (see io/inode-io.ts).
 */
import { type ByteName, type NodeId, ROOT_ID } from "@sluice/vfs";
import { ForgottenNodes } from "./forgotten-nodes.js";
import { InodeIo } from "../io/inode-io.js";
import { type Dentry, Node } from "./node.js";

/** A nodeId that the kernel uses for a node besides its own: one it had before, or one for opens apart from the others. */
export class FormerId {
  constructor(
    readonly id: NodeId,
    readonly node: Node,
    readonly io: InodeIo,
    public lookups: number,
  ) {}
}

export class NodeTable {
  readonly #byId = new Map<NodeId, Node | FormerId>();
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
  #nextId = ROOT_ID;

  constructor(release: (node: Node) => void) {
    this.#release = release;
  }

  get size(): number {
    return this.#byId.size;
  }

  make(kind: number): Node {
    const node = new Node(this.#nextId++, kind);
    this.#byId.set(node.id, node);
    return node;
  }

  /** Gives a new node, not yet shown to the kernel, the id it was known by at this place. */
  recall(node: Node, parent: Node, name: ByteName): void {
    const id = this.forgotten.take(node, parent, name);
    if (id === undefined) return;
    this.#byId.delete(node.id);
    node.id = id;
    this.#byId.set(id, node);
  }

  /** The node behind an id, current or former. */
  get(id: NodeId): Node | undefined {
    const found = this.#byId.get(id);
    return found instanceof FormerId ? found.node : found;
  }

  former(id: NodeId): FormerId | undefined {
    const found = this.#byId.get(id);
    return found instanceof FormerId ? found : undefined;
  }

  /** Gives a node a new id; the kernel goes on with the old one for what it has open. */
  renumber(node: Node, io: InodeIo): void {
    this.#byId.set(node.id, new FormerId(node.id, node, io, node.lookups));
    node.formerIds++;
    node.id = this.#nextId++;
    node.lookups = 0;
    node.io = undefined;
    this.#byId.set(node.id, node);
  }

  /** One more id, with I/O of its own. */
  addId(node: Node): FormerId {
    const added = new FormerId(this.#nextId++, node, new InodeIo(), 0);
    this.#byId.set(added.id, added);
    node.formerIds++;
    return added;
  }

  attach(node: Node, parent: Node, name: ByteName): void {
    parent.children ??= new Map();
    parent.children.set(name, node);
    if (node.parent === undefined) {
      node.parent = parent;
      node.name = name;
      return;
    }
    node.others ??= [];
    node.others.push({ parent, name });
  }

  /** Takes a name from a node. False when that was its last one. */
  detach(node: Node, parent: Node, name: ByteName): boolean {
    if (parent.children?.get(name) === node) parent.children.delete(name);
    if (node.parent === parent && node.name === name) {
      const next = node.others?.pop();
      node.parent = next?.parent;
      node.name = next?.name ?? node.name;
    } else {
      node.others = node.others?.filter((other) => other.parent !== parent || other.name !== name);
    }
    if (node.others?.length === 0) node.others = undefined;
    return node.parent !== undefined;
  }

  /** One of the node's names becomes another one. */
  rename(node: Node, from: Dentry, to: Dentry): void {
    if (from.parent.children?.get(from.name) === node) from.parent.children.delete(from.name);
    to.parent.children ??= new Map();
    to.parent.children.set(to.name, node);
    if (node.parent === from.parent && node.name === from.name) {
      node.parent = to.parent;
      node.name = to.name;
      return;
    }
    const other = node.others?.find((name) => name.parent === from.parent && name.name === from.name);
    if (other !== undefined) Object.assign(other, to);
  }

  linked(ino: number): Node | undefined {
    return this.#byLink.get(ino);
  }

  rememberLink(node: Node, ino: number): void {
    node.linkKey = ino;
    this.#byLink.set(ino, node);
  }

  rememberLowerLink(node: Node, key: string): void {
    node.lowerLinkKey = key;
    const set = this.#lowerLinks.get(key) ?? new Set();
    set.add(node);
    this.#lowerLinks.set(key, set);
  }

  lowerLinks(key: string): ReadonlySet<Node> | undefined {
    return this.#lowerLinks.get(key);
  }

  forgetLowerLink(node: Node): void {
    const key = node.lowerLinkKey;
    if (key === undefined) return;
    node.lowerLinkKey = undefined;
    const set = this.#lowerLinks.get(key);
    set?.delete(node);
    if (set?.size === 0) this.#lowerLinks.delete(key);
  }

  forget(id: NodeId, count: number): void {
    const found = this.#byId.get(id);
    if (found === undefined) return;
    found.lookups -= count;
    if (found.lookups > 0) return;
    if (found instanceof FormerId) {
      this.#byId.delete(id);
      found.node.formerIds--;
      if (found.node.apart === found) found.node.apart = undefined;
      this.letGo(found.node);
      return;
    }
    this.letGo(found);
  }

  /** Frees a node nobody refers to, and its parents that were only kept for it. */
  letGo(node: Node): void {
    let next: Node | undefined = node;
    while (next !== undefined && next.lookups <= 0 && next.id !== ROOT_ID && !this.#inUse(next)) {
      const parent: Node | undefined = next.parent;
      this.#free(next);
      next = parent;
    }
  }

  #inUse(node: Node): boolean {
    if (node.copyUp !== undefined || node.formerIds > 0 || node.reroutes > 0) return true;
    return (node.children?.size ?? 0) > 0 || (node.io?.handles.size ?? 0) > 0;
  }

  #free(node: Node): void {
    this.#byId.delete(node.id);
    if (node.linkKey !== undefined && this.#byLink.get(node.linkKey) === node) this.#byLink.delete(node.linkKey);
    this.forgetLowerLink(node);
    if (node.shown && node.parent !== undefined) this.forgotten.remember(node, node.parent);
    if (node.parent?.children?.get(node.name) === node) node.parent.children.delete(node.name);
    for (const other of node.others ?? []) {
      if (other.parent.children?.get(other.name) === node) other.parent.children.delete(other.name);
    }
    this.#release(node);
  }

  /** The connection ended: nobody refers to anything any more. */
  closeAll(): void {
    for (const node of this.all()) this.#release(node);
    this.#byId.clear();
    this.forgotten.clear();
    this.#byLink.clear();
    this.#lowerLinks.clear();
  }

  *all(): IterableIterator<Node> {
    for (const entry of this.#byId.values()) if (entry instanceof Node) yield entry;
  }
}
