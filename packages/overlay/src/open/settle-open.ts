/** From a ruling and a descriptor to a reply. */
import { type CallContext, O, type OpenOut } from "@sluice/vfs";
import type { Core } from "../core.js";
import type { OpenRecord, Ruling } from "../gate/gate.js";
import { sys } from "../layer/host-layer.js";
import { type Arbitration, arbitrate, wishOf } from "./arbitrate.js";
import type { OpenFile } from "../io/handle-table.js";
import { mayKeepPages } from "../io/kept-pages.js";

interface Settling extends Arbitration {
  call: CallContext;
  ruling: Ruling;
  /** The file was made just now: the kernel has nothing of it yet. */
  fresh: boolean;
  /** Where it is known already. */
  path: string | undefined;
}

/** Nobody waits in here: one object serves all. */
let spare: Settling | undefined;
/** What is told of an open, for as long as it is told. */
const told: OpenRecord = {
  handle: 0,
  nodeId: 0,
  path: "",
  layer: "",
  mode: "mediated",
  io: "cached",
  write: false,
  fallback: undefined,
};

/** To be completed: with the descriptor, and with what else is so. */
export function settlingOf(call: CallContext, file: OpenFile, ruling: Ruling): Settling {
  const layer = file.node.dataLayer;
  const granted = ruling.effect === "grant";
  spare ??= { call, file, ruling, fd: -1, wish: "mediate", granted, layer, kept: undefined, fresh: false, path: undefined };
  spare.call = call;
  spare.file = file;
  spare.ruling = ruling;
  spare.granted = granted;
  spare.layer = layer;
  spare.fd = -1;
  spare.kept = spare.path = undefined;
  spare.fresh = false;
  return spare;
}

/** The descriptor is used up. */
export function settle(core: Core, open: Settling, out: OpenOut): void {
  const { file, ruling, kept, layer } = open;
  open.wish = wishOf(core, file.node, ruling);
  const fallback = arbitrate(core, open);
  if (fallback !== undefined) core.events.fallback({ layer: layer.name, reason: fallback });
  if (kept !== undefined && file.backing !== kept) core.port.closeBacking(kept.id);
  if (file.fd !== open.fd) sys.close(open.fd);
  file.io.handles.add(file);
  file.layer = layer;
  // Of one that was mediated beside a grant the mappings alone pass us by.
  if (file.backing !== undefined && file.write) writesPastUs(core, file, open.fresh);
  core.journal?.opened(file, open.call.journalSlot ?? 0);
  out.handle = file.handle;
  out.mode = file.mode;
  out.keepCache = file.mode === "cached" && mayKeepPages(file);
  out.backingId = file.backing?.id ?? 0;
  core.events.openFiles(file.flow, 1);
  const record = recordOf(file, open.path ?? (core.paths.of(core, file.node, undefined)[0] as string), fallback);
  // A watch goes on with its record.
  if (ruling.watch !== undefined) file.watch = ruling.watch({ ...record });
  core.gate.opened(open.call, ruling, record);
  const keeps = core.journal === undefined ? undefined : core.gate.keep?.(file.handle);
  if (keeps !== undefined) core.journal?.attach(file, keeps);
}

function recordOf(file: OpenFile, path: string, fallback: OpenRecord["fallback"]): OpenRecord {
  told.handle = file.handle;
  told.nodeId = file.nodeId;
  told.path = path;
  told.layer = file.layer?.name ?? "";
  told.mode = file.flow;
  told.io = file.mode;
  told.write = file.write;
  told.fallback = fallback;
  return told;
}

/**
 * From now on a mapping may change the file without a word: what the kernel keeps of its attributes is worth nothing. What
 * cannot be read cannot be mapped: there each write has the kernel ask again, and one that takes suid is announced before.
 */
function writesPastUs(core: Core, file: OpenFile, fresh: boolean): void {
  const { node, nodeId, flags } = file;
  file.io.pagesOf = undefined;
  if (node.io !== undefined) node.io.pagesOf = undefined;
  if ((flags & O.ACCMODE) === O.WRONLY) {
    // What truncation takes of the mode is not.
    if (!fresh && (flags & O.TRUNC) !== 0) core.port.dropAttributes(nodeId);
    return;
  }
  if (node.writtenPastUs) return;
  node.writtenPastUs = true;
  core.journal?.writtenPastUs(node);
  if (!fresh) core.port.dropAttributes(nodeId);
}
