/**
 * libfuse keeps an open file usable after its unlink by renaming it to `.fuse_hidden…` until the last close. Here the
 * file is unlinked for good and stays open by its handle; the hidden name lives in this table only: no listing shows it,
 * its directory can be removed, and fstat counts no link.
 */
import type { HeldNode } from "./held-node.js";
import { isAtOrBelow, splitPath } from "./names.js";

const HIDDEN = /^\.fuse_hidden[0-9a-f]{16,}$/;

/** Does libfuse hide a file by this rename? Only it gives such names, and only in the same directory. */
export function isHiding(from: string, to: string): boolean {
  const target = splitPath(to);
  return HIDDEN.test(target.name) && splitPath(from).parent === target.parent;
}

export class HiddenNames {
  readonly #byPath = new Map<string, HeldNode>();

  get size(): number {
    return this.#byPath.size;
  }

  get(path: string): HeldNode | undefined {
    return this.#byPath.get(path);
  }

  /** Takes over the caller's use of `held`. */
  add(path: string, held: HeldNode): void {
    this.remove(path);
    this.#byPath.set(path, held);
  }

  /** True if it existed. */
  remove(path: string): boolean {
    const held = this.#byPath.get(path);
    held?.letGo();
    return this.#byPath.delete(path);
  }

  /** The last handle is closed. libfuse also requests the removal, unless the directory was removed before. */
  removeNode(nodeId: number): void {
    for (const [path, held] of [...this.#byPath]) if (held.nodeId === nodeId) this.remove(path);
  }

  /** A directory above was renamed. */
  moved(from: string, to: string): void {
    for (const [path, held] of [...this.#byPath]) {
      if (!isAtOrBelow(path, from)) continue;
      this.#byPath.delete(path);
      this.#byPath.set(to + path.slice(from.length), held);
    }
  }

  clear(): void {
    for (const path of [...this.#byPath.keys()]) this.remove(path);
  }
}
