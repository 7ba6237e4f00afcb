/** Reviews a file that is open already: describes it for a gate that judges it again, and compares it with the new ruling. */
import { Attr, type FileHandle, type NodeId, S } from "@sluice/vfs";
import type { OpenContext } from "./open-context.js";
import type { Access, Intent, Ruling } from "../contract/gate.js";
import { intentOn } from "../gate/describe-access.js";
import { contentOf } from "../handles/content.js";
import type { OpenFile } from "../handles/handle-table.js";
import { statFd } from "../layer/system-calls.js";
import { readXattrOf } from "../gate/node-xattr.js";
import { accessesOf } from "./open-intent.js";
import { OpenPlan, planOpen } from "./plan-open.js";

/** Why a file that is open does not meet a ruling that allows it. */
export type Shortfall =
  /** The kernel does its I/O, and the ruling does not grant that. */
  | "passthrough"
  /** The ruling has obligations, and the file was opened without any. */
  | "unobserved";

export interface OpenReview {
  /** As if the file were opened now, by all the names that it is known by now. */
  intent: Intent;
  /** st_ino in the mount. */
  ino: bigint;
  /** Its transfers are refused: see withhold-open.ts. */
  withheld: boolean;
  /** Undefined if the file, as it is open, meets the ruling. Not for a ruling that denies. */
  shortfall(ruling: Ruling): Shortfall | undefined;
}

/** Undefined if the file was closed meanwhile, or cannot be looked at. */
export function reviewOpen(core: OpenContext, handle: FileHandle): OpenReview | undefined {
  const file = core.handles.file(handle);
  if (file === undefined) return undefined;
  const { node, fd } = file;
  const attr = new Attr();
  if (statFd(fd, attr) < 0 || (attr.mode & S.IFMT) !== S.IFREG) return undefined;
  const ino = (BigInt(node.inoHi >>> 0) << 32n) | BigInt(node.inoLo >>> 0);
  const intent: Intent = {
    operation: "open",
    accesses: accessesOf(file.flags),
    paths: core.paths.of(core, node, attr),
    layer: node.top.layer.name,
    attr,
    openFlags: file.flags,
    readXattr: (name) => readXattrOf(fd, name),
    content: contentOf(core, node),
  };
  return { intent, ino, withheld: file.withheld !== 0, shortfall: (ruling) => shortfallOf(core, file, ruling) };
}

/** Describes a file that is closed again, as if it were opened now. Undefined if the kernel does not know it any more. */
export function reviewClosed(core: OpenContext, nodeId: NodeId, accesses: readonly Access[]): Intent | undefined {
  const node = core.nodes.get(nodeId);
  return node?.isRegular === true ? intentOn(core, node, { operation: "open", accesses }) : undefined;
}

function shortfallOf(core: OpenContext, file: OpenFile, ruling: Ruling): Shortfall | undefined {
  const { node, nodeId, io, flags, write } = file;
  const open = {
    node,
    nodeId,
    io,
    byAlias: node.id !== nodeId,
    pid: 0,
    flags,
    write,
    arrival: "first",
    nameless: false,
    isNew: false,
    saysEmpty: false,
  } as const;
  const plan = planOpen(core, open, ruling, new OpenPlan());
  if (plan.granted) return undefined;
  if (file.mode === "passthrough") return "passthrough";
  const watch = file.withheld === 0 ? file.watch : file.watchBefore;
  return plan.requested === "observe" && watch === undefined ? "unobserved" : undefined;
}
