/**
 * Frees the I/O state of files that are closed. A whole tree is opened at some time, and each file's state is as large as its
 * node. The state of the files that were closed last stays, since a closed file is often opened again.
 */
import type { Node } from "../node/node.js";
import { type InodeIo, isUnused } from "../node/inode-io.js";

/** So many closed files have their state. */
export const IDLE_PLACES = 64;

export class IdleIo {
  readonly #nodes = new Array<Node | undefined>(IDLE_PLACES).fill(undefined);
  #next = 0;

  /** A file has just been closed. The state of an earlier one goes, unless that was used since. */
  closed(node: Node, io: InodeIo): void {
    if (io.handles.size > 0 || node.io !== io) return;
    const place = this.#next;
    this.#next = (place + 1) % IDLE_PLACES;
    const before = this.#nodes[place];
    this.#nodes[place] = node;
    io.idlePlace = place;
    if (before !== undefined && before !== node && before.io?.idlePlace === place && saysNothing(before.io)) before.io = undefined;
  }
}

/** Holds nothing that a new state would not. */
function saysNothing(io: InodeIo): boolean {
  return isUnused(io) && io.pagesOf === undefined;
}
