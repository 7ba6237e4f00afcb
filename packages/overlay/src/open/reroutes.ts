/**
 * Opens that were answered ESTALE to come again by another nodeId: whose look-up is to find which, and who comes a second
 * time by the same one, having no name to look up (/proc/self/fd). By the caller's thread: the kernel does all of it on one.
 */
import type { NodeId } from "@sluice/vfs";
import type { OverlayJournal } from "../journal/overlay-journal.js";
import type { Node } from "../node/node.js";
import type { NodeTable } from "../node/node-table.js";

/** Callers that are killed in between leave theirs behind: the oldest go. */
const MAX_REROUTES = 1024;

interface Reroute {
  readonly node: Node;
  /** To an id for opens whose bytes must pass us; else to the node's own. */
  readonly apart: boolean;
  /** That id, once it was looked up. */
  target: NodeId;
  lookedUp: boolean;
  /** Where it is written down, or 0. */
  readonly slot: number;
}

export type Arrival = "first" | "again" | "nameless";

export class Reroutes {
  readonly #byPid = new Map<number, Reroute>();
  readonly #nodes: Pick<NodeTable, "hold" | "release">;
  readonly #journal: OverlayJournal | undefined;

  constructor(nodes: Pick<NodeTable, "hold" | "release">, journal: OverlayJournal | undefined) {
    this.#nodes = nodes;
    this.#journal = journal;
  }

  get size(): number {
    return this.#byPid.size;
  }

  begin(pid: number, node: Node, apart: boolean): void {
    this.restore(pid, node, { apart, lookedUp: false });
  }

  /** One that a process before this one began. */
  restore(pid: number, node: Node, { apart, lookedUp }: { apart: boolean; lookedUp: boolean }): void {
    this.#end(pid);
    // The kernel may forget the node before it looks again: the look-up would find another one then.
    this.#nodes.hold(node);
    const slot = this.#journal?.rerouted(pid, node, apart) ?? 0;
    if (lookedUp && slot !== 0) this.#journal?.records.reroutes.setLookedUp(slot);
    this.#byPid.set(pid, { node, apart, target: 0, lookedUp, slot });
    if (this.#byPid.size > MAX_REROUTES) this.#end(this.#byPid.keys().next().value as number);
  }

  #end(pid: number): void {
    const reroute = this.#byPid.get(pid);
    if (reroute === undefined) return;
    this.#byPid.delete(pid);
    if (reroute.slot !== 0) this.#journal?.records.reroutes.remove(reroute.slot);
    this.#nodes.release(reroute.node);
  }

  /** Somebody else than `pid` is on the way to this id of the node, and cannot be sent on once more. */
  awaitsOther(pid: number, node: Node, id: NodeId): boolean {
    for (const [other, reroute] of this.#byPid) {
      if (other !== pid && reroute.node === node && id === (reroute.apart ? reroute.target : node.id)) return true;
    }
    return false;
  }

  /** The look-up led to this id. */
  leadsTo(pid: number, id: NodeId): void {
    const reroute = this.#byPid.get(pid);
    if (reroute !== undefined) reroute.target = id;
  }

  /** A look-up found the node. True where it is to lead to an id for opens that pass us. */
  found(pid: number, node: Node): boolean {
    const reroute = this.#byPid.get(pid);
    if (reroute?.node !== node) return false;
    reroute.lookedUp = true;
    if (reroute.slot !== 0) this.#journal?.records.reroutes.setLookedUp(reroute.slot);
    return reroute.apart;
  }

  /**
   * An open is here. "again": it was sent on, and must not be once more, as the kernel looks again but once and then hands
   * ESTALE to the caller. "nameless": besides, no look-up followed.
   */
  arrived(pid: number, node: Node): Arrival {
    if (this.#byPid.size === 0) return "first";
    const reroute = this.#byPid.get(pid);
    if (reroute?.node !== node) return "first";
    this.#end(pid);
    return reroute.lookedUp ? "again" : "nameless";
  }
}
