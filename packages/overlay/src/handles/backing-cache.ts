/**
 * Registrations that outlive the last close of their file, since most files that were opened are opened again. None is a
 * grant: the kernel uses one only if the reply to an open names it, and each open is judged as if there were none. A cached
 * descriptor is never open for writing, so it stands in nobody's way in the layer.
 */
import { type Attr, S } from "@sluice/vfs";
import type { DirectoryAccess } from "../layer/layer-stack.js";
import { statName } from "../layer/system-calls.js";
import type { Node } from "../node/node.js";
import type { Backing } from "../node/inode-io.js";

export interface BackingCacheEvents {
  /** The registration and the descriptor are to be given back, `atOnce` also if the close takes long. */
  ended(backing: Backing, atOnce: boolean): void;
  /** The backing id that is cached for the node from now on, or 0. The journal writes it down. */
  cached(node: Node, backingId: number): void;
}

export class BackingCache {
  /** Those used longest ago first. */
  readonly #byNode = new Map<Node, Backing>();
  readonly #max: number;
  readonly #events: BackingCacheEvents;

  constructor(max: number, events: BackingCacheEvents) {
    this.#max = max;
    this.#events = events;
  }

  get size(): number {
    return this.#byNode.size;
  }

  has(node: Node): boolean {
    return this.#byNode.has(node);
  }

  /** Takes a registration over, and caches or ends it. */
  give(node: Node, backing: Backing): void {
    const before = this.#byNode.get(node);
    if (before !== undefined) this.#end(node, before);
    if (backing.writable || backing.identity === undefined || !isPlain(node) || backing.layer !== node.dataLayer)
      return this.#close(backing);
    this.#byNode.set(node, backing);
    this.#events.cached(node, backing.id);
    if (this.#byNode.size <= this.#max) return;
    const [oldest, its] = this.#byNode.entries().next().value as [Node, Backing];
    this.#end(oldest, its);
  }

  /** Gives a reader the cached registration of the file that the node's name leads to now, and the file's attributes in `attr`. */
  take(core: DirectoryAccess, node: Node, attr: Attr): Backing | undefined {
    const cached = this.#byNode.get(node);
    if (cached === undefined) return undefined;
    const dirFd = isPlain(node) ? core.fds.of(node.top) : -1;
    if (dirFd >= 0 && statName(dirFd, node.realName, attr) === 0) return this.#claim(node, cached, attr);
    this.#end(node, cached);
    return undefined;
  }

  /** The cached registration of the very file that has these attributes. */
  match(node: Node, attr: Attr): Backing | undefined {
    const cached = this.#byNode.get(node);
    return cached === undefined ? undefined : this.#claim(node, cached, attr);
  }

  #claim(node: Node, cached: Backing, attr: Attr): Backing | undefined {
    if (isSame(cached, attr) && cached.layer === node.dataLayer) {
      this.#forget(node);
      return cached;
    }
    this.#end(node, cached);
    return undefined;
  }

  /** The node is gone, or its object is another file now. */
  drop(node: Node): void {
    const cached = this.#byNode.get(node);
    if (cached !== undefined) this.#end(node, cached);
  }

  /** Closes every descriptor. False if there was none. */
  clear({ atOnce }: { atOnce: boolean }): boolean {
    const had = this.#byNode.size > 0;
    for (const [node, cached] of this.#byNode) this.#end(node, cached, atOnce);
    return had;
  }

  #end(node: Node, backing: Backing, atOnce = false): void {
    this.#forget(node);
    this.#close(backing, atOnce);
  }

  #forget(node: Node): void {
    this.#byNode.delete(node);
    this.#events.cached(node, 0);
  }

  #close(backing: Backing, atOnce = false): void {
    this.#events.ended(backing, atOnce);
  }
}

/** Has a name, and its data there. */
function isPlain(node: Node): boolean {
  return node.fd < 0 && node.data === undefined && node.parent !== undefined;
}

/** While it is registered, no other file can have its numbers. */
function isSame({ identity }: Backing, { words, mode }: Attr): boolean {
  if (identity === undefined || (mode & S.IFMT) !== S.IFREG) return false;
  return words[0] === identity.inoLo && words[1] === identity.inoHi && words[22] === identity.devMajor && words[23] === identity.devMinor;
}
