/**
 * Opens that were answered ESTALE so that they come again by another nodeId (see open-file.ts). Kept by the caller's thread:
 * after ESTALE the kernel sends the LOOKUP and the second OPEN from the same one, and nothing else connects the three requests.
 * A thread whose second OPEN comes by the same nodeId, without a LOOKUP, had no name to look up (/proc/self/fd).
 *
 * The kernel repeats an OPEN with the same flags. io_uring opens with O_NONBLOCK first, and only with names that the kernel caches
 * (io_uring/openclose.c io_openat2); after ESTALE another thread opens, without that flag. So if the first thread opens the file again
 * with other flags, that is another open, although no LOOKUP came in between.
 */
import type { NodeId } from "@sluice/vfs";
import type { OverlayJournal } from "../journal/overlay-journal.js";
import type { Node } from "../node/node.js";
import type { NodeTable } from "../node/node-table.js";

/** A caller that is killed in between leaves its entry behind: the oldest entry goes. */
const MAX_REROUTES = 1024;
/** Of all callers that the server's namespace of processes does not show: what one of them does tells nothing of another. */
const SOMEBODY = 0;

interface Reroute {
  readonly node: Node;
  /** It leads to an alias for observed opens, not to the node's own nodeId. */
  readonly observed: boolean;
  /** Of the open; undefined if an earlier server began it. */
  readonly flags: number | undefined;
  /** The open has truncated the file, and must not do so once more: others may have written since. */
  readonly emptied: boolean;
  /**
   * In which the file lay when the open was judged: its copy-up is no reason for another judgement. "" if that is unknown, or if
   * another file has the name by now.
   */
  readonly layer: string;
  /** That alias, once the look-up led to it. */
  target: NodeId;
  lookedUp: boolean;
  /** Its journal slot, or 0. */
  readonly slot: number;
}

type Begun = Pick<Reroute, "observed" | "lookedUp" | "flags" | "emptied" | "layer">;

interface ReroutedOpen {
  readonly pid: number;
  readonly node: Node;
  readonly flags: number;
  readonly emptied: boolean;
  readonly layer: string;
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

  begin({ pid, node, flags, emptied, layer }: ReroutedOpen, observed: boolean): void {
    this.#add(pid, node, { observed, lookedUp: false, flags, emptied, layer: pid === SOMEBODY ? "" : layer });
  }

  /** Takes over a reroute that an earlier server began. */
  restore(pid: number, node: Node, { observed, lookedUp }: { observed: boolean; lookedUp: boolean }): void {
    this.#add(pid, node, { observed, lookedUp, flags: undefined, emptied: false, layer: "" });
  }

  #add(pid: number, node: Node, begun: Begun): Reroute {
    const { observed, lookedUp } = begun;
    this.end(pid);
    // If the kernel forgot the node before it looks again, the look-up would find another one.
    this.#nodes.hold(node);
    const slot = this.#journal?.rerouted(pid, node, observed) ?? 0;
    if (lookedUp && slot !== 0) this.#journal?.records.reroutes.setLookedUp(slot);
    const reroute = { ...begun, node, target: 0, slot };
    this.#byPid.set(pid, reroute);
    if (this.#byPid.size > MAX_REROUTES) this.end(this.#byPid.keys().next().value as number);
    return reroute;
  }

  /** Of the open that this thread repeats. */
  isEmptied(pid: number): boolean {
    return this.#byPid.get(pid)?.emptied === true;
  }

  /** Of the open that this one repeats: where its file lay when it was judged. "" if it repeats none. */
  judgedLayer(pid: number, node: Node, flags: number): string {
    return this.arrival(pid, node, flags) === "first" ? "" : (this.#byPid.get(pid) as Reroute).layer;
  }

  /** The open of this thread has arrived, or will not. */
  end(pid: number): void {
    const reroute = this.#byPid.get(pid);
    if (reroute === undefined) return;
    this.#byPid.delete(pid);
    if (reroute.slot !== 0) this.#journal?.records.reroutes.remove(reroute.slot);
    this.#nodes.release(reroute.node);
  }

  /** The thread found no name, or opens another file: the one that was to come again does not. */
  givenUp(pid: number): void {
    if (pid !== SOMEBODY) this.end(pid);
  }

  /** Another thread is on its way to this nodeId of the node, and cannot be sent on once more. */
  awaitsOther(pid: number, node: Node, id: NodeId): boolean {
    for (const [other, reroute] of this.#byPid) {
      if (other !== pid && reroute.node === node && id === (reroute.observed ? reroute.target : node.id)) return true;
    }
    return false;
  }

  /** The look-up led to this alias. */
  leadsTo(pid: number, id: NodeId): void {
    const reroute = this.#byPid.get(pid);
    if (reroute !== undefined) reroute.target = id;
  }

  /** A look-up found the node. True if it has to lead to an alias for observed opens. */
  found(pid: number, node: Node): boolean {
    let reroute = this.#byPid.get(pid);
    // A directory on the way is no file to open.
    if (reroute === undefined || (reroute.node !== node && (!node.isRegular || pid === SOMEBODY))) return false;
    // Somebody gave the name to another file, so the open comes for that.
    if (reroute.node !== node) reroute = this.#add(pid, node, { ...reroute, lookedUp: false, emptied: false, layer: "" });
    reroute.lookedUp = true;
    if (reroute.slot !== 0) this.#journal?.records.reroutes.setLookedUp(reroute.slot);
    return reroute.observed;
  }

  /**
   * How an open arrives. "again": it was sent on before, and must not be sent on once more, since the kernel looks again only
   * once and then hands ESTALE to the caller. "nameless": besides, no look-up came in between.
   */
  arrival(pid: number, node: Node, flags: number): Arrival {
    if (this.#byPid.size === 0) return "first";
    const reroute = this.#byPid.get(pid);
    if (reroute === undefined) return "first";
    if (reroute.node !== node) {
      this.givenUp(pid);
      return "first";
    }
    if (reroute.lookedUp) return "again";
    return flags === (reroute.flags ?? flags) ? "nameless" : "first";
  }
}
