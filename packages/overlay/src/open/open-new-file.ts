/** CREATE's and TMPFILE's half of an open: the first open of a file that was made just now. */
import type { Attr, CallContext, OpenOut } from "@sluice/vfs";
import type { OpenContext } from "./open-context.js";
import type { Ruling } from "../contract/gate.js";
import type { Permit } from "../layer/permit.js";
import type { Node } from "../node/node.js";
import { executePlan, type PlannedOpen } from "./execute-plan.js";
import { OpenPlan, planOpen } from "./plan-open.js";

export interface NewFile {
  readonly call: CallContext;
  readonly ruling: Ruling;
  readonly node: Node;
  /** Open for reading and writing; the open file takes it over. */
  readonly fd: number;
  readonly seen: Attr;
  readonly flags: number;
}

/** Reused from one open to the next. */
const plan = new OpenPlan();

/** Nothing else is open of the file, so its open is always served by the node's own nodeId. */
export function openNewFile(core: OpenContext, permit: Permit, file: NewFile, out: OpenOut): void {
  const { call, ruling, node, fd, seen, flags } = file;
  const open: PlannedOpen = {
    call,
    ruling,
    node,
    nodeId: node.id,
    io: undefined,
    byAlias: false,
    pid: call.pid,
    flags,
    write: true,
    arrival: "first",
    nameless: false,
    isNew: true,
    saysEmpty: false,
    plan,
    fd,
    seen,
    cachedBacking: undefined,
    emptied: false,
    layer: "",
    path: undefined,
  };
  planOpen(core, open, ruling, plan);
  executePlan(core, permit, open, out);
}
