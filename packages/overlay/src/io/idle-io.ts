/**
 * What is known of a file's I/O while it is open is nothing once it is closed, mostly: it is let go, since a tree's files are all
 * opened at some time, and each would keep as much again as its node. Not at once: what is closed is often opened again.
 */
import type { Node } from "../node/node.js";
import type { InodeIo } from "../node/inode-io.js";

/** Of the files that were closed last. */
export const IDLE_PLACES = 64;

export class IdleIo {
  readonly #nodes = new Array<Node | undefined>(IDLE_PLACES).fill(undefined);
  #next = 0;

  /** A file has just been closed. Another one's state goes, where that has not been used since. */
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

/** As good as a new one. */
function saysNothing(io: InodeIo): boolean {
  const opens = io.handles.size + io.cached + io.direct + io.passthrough;
  return opens === 0 && !io.apart && io.backing === undefined && io.pagesOf === undefined;
}
