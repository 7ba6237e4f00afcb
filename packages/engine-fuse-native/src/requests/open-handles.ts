/** libfuse's open handles: they are 31 bits and never 0, the filesystem's are any safe integer. */
import type { FileHandle, NodeId } from "@sluice/vfs";
import type { HeldNode } from "../paths/held-node.js";

export interface OpenHandle {
  readonly node: HeldNode;
  readonly handle: FileHandle;
  readonly flags: number;
  readonly directory: boolean;
}

const LARGEST = 0x7fffffff;

export class OpenHandles {
  readonly #byNumber = new Map<number, OpenHandle>();
  #last = 0;

  get size(): number {
    return this.#byNumber.size;
  }

  /** Takes over the caller's use of the node. */
  add(open: OpenHandle): number {
    do {
      this.#last = this.#last === LARGEST ? 1 : this.#last + 1;
    } while (this.#byNumber.has(this.#last));
    this.#byNumber.set(this.#last, open);
    return this.#last;
  }

  get(number: number): OpenHandle | undefined {
    return this.#byNumber.get(number);
  }

  /** The caller releases its node. */
  take(number: number): OpenHandle | undefined {
    const open = this.#byNumber.get(number);
    this.#byNumber.delete(number);
    return open;
  }

  /** Searches all of them: only unlinks need it, and users of this engine have few files open. */
  hasNode(nodeId: NodeId): boolean {
    for (const open of this.#byNumber.values()) if (open.node.nodeId === nodeId && !open.directory) return true;
    return false;
  }
}
