/**
 * The outcome of an OPEN: its nodeId, layer and I/O mode, and the copy-up and truncation before it.
 *
 * `planOpen` is the only place that decides this. It changes nothing and asks nobody, so three callers share it: open-file.ts,
 * which has execute-plan.ts carry the plan out; explain-open.ts, which tells it; and review-open.ts, which compares an open
 * file with the mode that a new ruling requires.
 */
import { Errno, type KernelPort, type NodeId, O, type OpenOut } from "@sluice/vfs";
import type { OverlayConfig } from "../contract/config.js";
import type { FallbackReason, Ruling } from "../contract/gate.js";
import type { InodeIo } from "../node/inode-io.js";
import { isTiedElsewhere } from "../io/renumber.js";
import { isOnlyWithheld } from "../io/withhold-open.js";
import type { HostLayer } from "../layer/host-layer.js";
import type { Node } from "../node/node.js";
import { inodeMode, type ModeOutcome, outcomeOf, type RequestedMode } from "./mode-table.js";
import type { Arrival, Reroutes } from "./reroutes.js";

/** The facts besides the open itself that a plan depends on. */
export interface PlanContext {
  readonly config: Pick<OverlayConfig, "coherentReaders">;
  readonly port: Pick<KernelPort, "separatesOpens" | "negotiated">;
  readonly upper: HostLayer | undefined;
  readonly reroutes: Pick<Reroutes, "awaitsOther">;
}

/** An open that is to be planned. */
export interface OpenToPlan {
  readonly node: Node;
  /** The nodeId that it comes by, and the opens of that id; undefined: there never were any. */
  readonly nodeId: NodeId;
  readonly io: InodeIo | undefined;
  /** The nodeId is an alias, not the node's own. */
  readonly byAlias: boolean;
  readonly pid: number;
  readonly flags: number;
  readonly write: boolean;
  /** Whether the kernel was told to look again before: see reroutes.ts. */
  readonly arrival: Arrival;
  /** The kernel opens without a name to look up again (fs/fuse/ioctl.c): ESTALE would reach the caller. */
  readonly nameless: boolean;
  /** It was created just now: nothing is left to copy up or to truncate. */
  readonly isNew: boolean;
  /** It says that it is empty, and may still have content (`HostLayer.tellsSizes`). */
  readonly saysEmpty: boolean;
}

/**
 * By which nodeId an open is served. If the one that it comes by is in a mode that does not fit, the answer is ESTALE: the
 * kernel looks the name up again (fs/namei.c do_filp_open, once), finds another nodeId of the node with the same inode number,
 * and opens that one. Files that are open already stay as they are.
 *
 * A node has its own nodeId, and may have aliases:
 * - one that readers of the lower file hold, who pass through to it after the file was copied up;
 * - one whose opens are withheld, and which must get no pages by later opens (io/withhold-open.ts);
 * - one for each observed open, while other opens of the file bypass the daemon or bring pages.
 */
export type Placement =
  | "here"
  /** ESTALE: the look-up leads to the node's own nodeId. */
  | "own id"
  /** ESTALE: the look-up leads to an alias that serves one observed open. */
  | "observed id"
  /** ESTALE, but the kernel has no name to look up: it reaches the caller, and is counted. */
  | "stale descriptor"
  /** `errno` reaches the caller. */
  | "refused";

/** Reused from one open to the next: the hot path allocates none. */
export class OpenPlan {
  requested: RequestedMode = "mediate";
  /** The ruling grants the open, in whatever mode it ends up. */
  granted = false;
  /** The file is copied up first; all else is as it will be then. */
  copiesUp = false;
  truncates = false;
  /** The layer whose file serves the open. */
  layer: HostLayer | undefined = undefined;
  placement: Placement = "here";
  /** The node gets a new own nodeId first, and the old one becomes an alias for the opens by it. */
  renumbers = false;
  /** The nodeId that the open comes by serves observed opens alone from then on. */
  parts = false;
  /** Of "refused". */
  errno = 0;
  /** If placed here. */
  mode: OpenOut["mode"] = "cached";
  /** The mode needs a new registration of the file; if that fails, the open is "cached". */
  registers = false;
  /** Why a granted open is mediated. */
  fallback: FallbackReason | undefined = undefined;
}

/** Fills `plan` in, and returns it. Not for a ruling that denies. */
export function planOpen(context: PlanContext, open: OpenToPlan, ruling: Ruling, plan: OpenPlan): OpenPlan {
  const { node, io } = open;
  plan.copiesUp = open.write && !open.isNew && !node.copiedUp;
  plan.truncates = (open.flags & O.TRUNC) !== 0 && !open.isNew;
  const layer = plan.copiesUp && context.upper !== undefined ? context.upper : node.dataLayer;
  plan.layer = layer;
  plan.granted = ruling.effect === "grant";
  plan.requested = requestedMode(context, layer, ruling);
  const outcome = outcomeOf(node, io, plan.requested);
  plan.placement = "here";
  plan.renumbers = plan.parts = false;
  plan.errno = 0;
  choose(plan, "cached", undefined);
  if (context.port.separatesOpens) place(context, open, plan, outcome);
  if (plan.placement === "here") chooseMode(context, io, plan, outcome);
  // The page cache ends where the file says that it ends.
  if (plan.mode === "cached" && open.saysEmpty && !layer.writable) plan.mode = "direct";
  return plan;
}

/**
 * With coherent readers no open passes through to a lower file that can be copied up: its reader would keep the old data after
 * a copy-up.
 */
function requestedMode({ config, upper }: PlanContext, layer: HostLayer, ruling: Ruling): RequestedMode {
  if (ruling.watch !== undefined) return "observe";
  if (ruling.effect !== "grant") return "mediate";
  return config.coherentReaders && upper !== undefined && !layer.writable ? "mediate" : "grant";
}

// --- which nodeId ------------------------------------------------------------------------------------------------------

function place(context: PlanContext, open: OpenToPlan, plan: OpenPlan, outcome: ModeOutcome): void {
  const { node, io } = open;
  // The kernel looks again only once: an open that comes a second time is served here or not at all.
  const stays = open.arrival !== "first" || open.nameless;
  if (io !== undefined && io.withheld > 0) {
    if (!stays) return plan.requested === "observe" ? toObservedId(plan) : toOwnId(node, plan);
    // The first open that is not withheld would bring pages to the others. "again": its nodeId was withheld just now.
    if (isOnlyWithheld(io)) return refuse(plan, open.arrival === "again" ? Errno.ESTALE : Errno.EACCES);
  }
  if (plan.requested === "observe") return placeObserved(context, open, plan, outcome);
  if (isTiedElsewhere(io, plan.layer)) return leaveLowerReaders(open, plan);
  if (stays) return;
  if (open.byAlias && (io?.observedOnly === true || isServedByItsOwn(node))) return toOwnId(node, plan);
  if (outcome === "another node") part(plan);
}

/** An observed open gets a nodeId of its own. Without a name it joins other observed opens, or is refused. */
function placeObserved({ reroutes }: PlanContext, open: OpenToPlan, plan: OpenPlan, outcome: ModeOutcome): void {
  if (open.arrival !== "first" || open.nameless) {
    const mode = inodeMode(open.io);
    if (mode !== "nothing" && mode !== "direct") refuse(plan, Errno.EACCES);
  } else if (outcome === "another node" || reroutes.awaitsOther(open.pid, open.node, open.nodeId)) toObservedId(plan);
}

/**
 * Readers pass through to the lower file, but the object lies in the upper layer now. By this nodeId an open can only join
 * them, and read the upper file through the daemon. That is right for:
 * - the kernel itself, which has no name to look up again;
 * - a reader that comes by an alias: it was answered ESTALE before, and the kernel found no name (/proc/self/fd). A writer
 *   cannot be served there, as the kernel would open the lower file for writing on a read-only mount.
 */
function leaveLowerReaders(open: OpenToPlan, plan: OpenPlan): void {
  const nameless = open.nameless || open.arrival === "nameless";
  if (!open.write && (open.byAlias || nameless)) return;
  plan.renumbers = !open.byAlias;
  plan.placement = nameless ? "stale descriptor" : "own id";
}

/**
 * By an alias that readers of the lower file had, once they are gone, an open would have pages that do not follow what is
 * written by the node's own nodeId. Such an open comes late, or by another name of the file, for which the kernel still has
 * the alias.
 */
function isServedByItsOwn({ io, others }: Node): boolean {
  return others !== undefined || (io !== undefined && io.handles.size > 0);
}

/** To the node's own nodeId, or to a new one if the open does not fit that either: the kernel looks again only once. */
function toOwnId(node: Node, plan: OpenPlan): void {
  const { io } = node;
  plan.placement = "own id";
  plan.renumbers = isTiedElsewhere(io, plan.layer) || (io?.withheld ?? 0) > 0 || outcomeOf(node, io, plan.requested) === "another node";
}

function toObservedId(plan: OpenPlan): void {
  plan.placement = "observed id";
}

/** An open that brings pages or bypasses the daemon comes by a nodeId of observed opens: they keep it, the node gets a new one. */
function part(plan: OpenPlan): void {
  plan.placement = "own id";
  plan.renumbers = plan.parts = true;
}

function refuse(plan: OpenPlan, errno: number): void {
  plan.placement = "refused";
  plan.errno = errno;
}

// --- which I/O mode ----------------------------------------------------------------------------------------------------

function chooseMode(context: PlanContext, io: InodeIo | undefined, plan: OpenPlan, outcome: ModeOutcome): void {
  const observed = plan.requested === "observe";
  const withheldGrant = plan.granted && plan.requested !== "grant" ? "coherent-readers" : undefined;
  // It has no name to be sent elsewhere by, and must not bring pages to observed opens.
  if (!observed && (io?.observedOnly === true || outcome === "another node"))
    return choose(plan, "direct", plan.granted ? "observed" : undefined);
  switch (outcome) {
    case "passthrough":
      return io?.backing === undefined ? register(context, plan) : join(plan, io.backing.layer, withheldGrant);
    case "passthrough-direct":
      return join(plan, io?.backing?.layer, withheldGrant);
    case "cached, counted":
      return choose(plan, "cached", "inode-cached");
    case "cached":
      return choose(plan, "cached", withheldGrant);
    case "direct":
    case "another node":
      return choose(plan, "direct", undefined);
  }
}

function choose(plan: OpenPlan, mode: OpenOut["mode"], fallback: FallbackReason | undefined): void {
  plan.mode = mode;
  plan.registers = false;
  plan.fallback = fallback;
}

function register({ port }: PlanContext, plan: OpenPlan): void {
  if (port.negotiated.maxStackDepth === 0) return choose(plan, "cached", "not-negotiated");
  if (plan.layer?.eligibility.state === "ineligible") return choose(plan, "cached", "stack-depth");
  choose(plan, "passthrough", undefined);
  plan.registers = true;
}

/** The inode is in passthrough mode: every further open has to name the same backing file. */
function join(plan: OpenPlan, tiedTo: HostLayer | undefined, withheldGrant: FallbackReason | undefined): void {
  if (plan.requested !== "grant") return choose(plan, "passthrough-direct", withheldGrant);
  if (tiedTo === plan.layer) choose(plan, "passthrough", undefined);
  else choose(plan, "passthrough-direct", "other-file");
}
