/**
 * Carries out what plan-open.ts decided: from a ruling and a descriptor to the reply. Everything happens in one turn of the
 * event loop, so the plan still fits what is open of the file.
 */
import { type Attr, type CallContext, Errno, O, type OpenOut } from "@sluice/vfs";
import type { OpenContext } from "./open-context.js";
import type { FallbackReason, OpenRecord, Ruling } from "../contract/gate.js";
import { emptyFile } from "../io/data.js";
import { canBeMapped } from "../handles/content.js";
import type { OpenFile } from "../handles/handle-table.js";
import { type Backing, InodeIo } from "../node/inode-io.js";
import { mayCachePages } from "../io/cached-pages.js";
import { dropOtherPages } from "../io/other-pages.js";
import type { HostLayer } from "../layer/host-layer.js";
import { sys } from "../layer/system-calls.js";
import type { Permit } from "../layer/permit.js";
import { giveNewId } from "../io/renumber.js";
import { reserveForObserved } from "./observed-ids.js";
import type { OpenPlan, OpenToPlan } from "./plan-open.js";
import { registerBacking } from "./register-backing.js";

/** An open and its plan. */
export interface PlannedOpen extends OpenToPlan {
  readonly call: CallContext;
  readonly ruling: Ruling;
  readonly plan: OpenPlan;
  /** Open on the file that the plan names, for writing too if `write`. `executePlan` takes it over when it answers 0. */
  readonly fd: number;
  /** Attributes of `fd`'s file, at whatever time since it was opened; undefined if nobody has looked. */
  readonly seen: Attr | undefined;
  /** A registration of `fd`'s file that an earlier open left: taken over with `fd`, and ended if the plan does not use it. */
  readonly cachedBacking: Backing | undefined;
  /** It is truncated already, and others may have written since. */
  readonly emptied: boolean;
  /** In which the file lay when the open was judged; "" if nobody was asked. */
  readonly layer: string;
  /** A path of the file, if one is known already. */
  readonly path: string | undefined;
}

/** 0, with the reply in `out`; or the errno, and then `fd` and `cachedBacking` stay the caller's. */
export function executePlan(core: OpenContext, permit: Permit, open: PlannedOpen, out: OpenOut): number {
  const { plan } = open;
  if (open.arrival !== "first") core.reroutes.end(open.pid);
  if (plan.placement !== "here") return sendElsewhere(core, open);
  if (plan.truncates) {
    const status = truncate(permit, open);
    if (status < 0) return -status;
    dropOtherPages(core, open, { offset: 0, length: 0 });
  }
  const io = open.io ?? (open.node.io ??= new InodeIo());
  const file = core.handles.addFile(open.node, open.nodeId, io);
  file.write = open.write;
  file.flags = open.flags;
  const fallback = enterMode(core, open, file);
  finish(core, open, file, out);
  tell(core, open, file, fallback);
  return 0;
}

/** The open is not served by the nodeId that it came by. Returns the errno. */
function sendElsewhere(core: OpenContext, open: PlannedOpen): number {
  const { plan, node, nodeId } = open;
  if (plan.placement === "refused") return plan.errno;
  if (plan.renumbers) giveNewId(core, node);
  if (plan.parts) reserveForObserved(core, node, nodeId);
  if (plan.placement === "stale descriptor") core.staleReopens++;
  else {
    core.reroutes.begin(open, plan.placement === "observed id");
    core.gate.comesAgain?.(open.call, open.ruling);
  }
  return Errno.ESTALE;
}

/** 0 or the negative errno. */
function truncate(permit: Permit, { call, fd, emptied }: PlannedOpen): number {
  return emptied ? 0 : emptyFile(permit, fd, { call, kills: call.killSuidgid });
}

/** Sets `file.mode`, `file.fd` and `file.backing`, and counts the open. Returns why a granted open is mediated, or undefined. */
function enterMode(core: OpenContext, open: PlannedOpen, file: OpenFile): FallbackReason | undefined {
  const { plan, fd } = open;
  const { io } = file;
  let { mode, fallback } = plan;
  if (plan.registers) {
    const backing = open.cachedBacking ?? registerBacking(core, file, { fd, layer: plan.layer as HostLayer, seen: open.seen });
    if (typeof backing === "string") {
      mode = open.saysEmpty ? "direct" : "cached";
      fallback = backing;
    } else io.backing = backing;
  }
  file.mode = mode;
  file.fd = fd;
  if (mode === "passthrough" || mode === "passthrough-direct") useBacking(file, io.backing as Backing);
  io.count(mode, 1);
  return fallback;
}

/** Ties an open file to the backing file of its passthrough mode. */
export function useBacking(file: OpenFile, backing: Backing): void {
  file.backing = backing;
  // A writer needs a descriptor that fallocate and the like take, also if a reader's open was the first.
  if (file.mode === "passthrough" && (!file.write || backing.writable)) file.fd = backing.fd;
}

/** Books the open file, gives back what it does not need, and fills the reply in. */
function finish(core: OpenContext, open: PlannedOpen, file: OpenFile, out: OpenOut): void {
  const { cachedBacking, fd } = open;
  if (cachedBacking !== undefined && file.backing !== cachedBacking) core.port.closeBacking(cachedBacking.id);
  if (file.fd !== fd) sys.close(fd);
  file.io.handles.add(file);
  file.layer = open.plan.layer;
  // Of an open that is mediated beside a passthrough one, the mappings alone bypass the daemon.
  if (file.backing !== undefined && file.write) writesPastUs(core, file, open.isNew);
  core.journal?.opened(file, open.call.journalSlot ?? 0);
  out.handle = file.handle;
  out.mode = file.mode;
  out.keepCache = file.mode === "cached" && mayCachePages(file);
  out.backingId = file.backing?.id ?? 0;
}

/**
 * From now on a mapping may change the file without telling the daemon, so attributes that the kernel caches are worthless. A
 * file that is open for writing alone cannot be mapped: each write makes the kernel ask again, and the kernel announces one
 * that clears suid bits.
 */
function writesPastUs(core: OpenContext, file: OpenFile, isNew: boolean): void {
  const { node, nodeId, flags } = file;
  file.io.pagesOf = undefined;
  if (node.io !== undefined) node.io.pagesOf = undefined;
  if ((flags & O.ACCMODE) === O.WRONLY) {
    // The kernel does not announce the bits that a truncation clears.
    if (!isNew && (flags & O.TRUNC) !== 0) core.port.dropAttributes(nodeId);
    return;
  }
  canBeMapped(node);
  if (node.writtenPastUs) return;
  node.writtenPastUs = true;
  core.journal?.writtenPastUs(node);
  if (!isNew) core.port.dropAttributes(nodeId);
}

/** Reused from one open to the next. */
const record: OpenRecord = {
  handle: 0,
  nodeId: 0,
  path: "",
  layer: "",
  mode: "mediated",
  io: "cached",
  write: false,
  fallback: undefined,
};

/** Tells the gate and whoever counts. */
function tell(core: OpenContext, open: PlannedOpen, file: OpenFile, fallback: FallbackReason | undefined): void {
  const { ruling, call } = open;
  const layer = open.plan.layer as HostLayer;
  if (fallback !== undefined) core.events.fallback({ layer: layer.name, reason: fallback });
  core.events.openFiles(file.flow, 1);
  record.handle = file.handle;
  record.nodeId = file.nodeId;
  record.path = open.path ?? (core.paths.of(core, file.node, undefined)[0] as string);
  record.layer = layer.name;
  record.mode = file.flow;
  record.io = file.mode;
  record.write = file.write;
  record.fallback = fallback;
  // The watch keeps its record as long as the file is open.
  if (ruling.watch !== undefined) file.watch = ruling.watch({ ...record });
  core.gate.opened(call, ruling, record);
  persistRuling(core, file);
}

/** Writes down the ruling that the gate holds an open file to, for a server that takes over. */
export function persistRuling(core: Pick<OpenContext, "journal" | "gate">, file: OpenFile): void {
  const persisted = core.journal === undefined ? undefined : core.gate.persist?.(file.handle);
  if (persisted !== undefined) core.journal?.attach(file, persisted);
}
