/**
 * Explains an open without opening anything: the object that serves a path, as the gate would be told of it, and the plan
 * (plan-open.ts) that an open would get now. Nothing is counted, nothing stays behind, and no content is touched.
 */
import { type ByteName, Errno, O } from "@sluice/vfs";
import type { OpenContext } from "./open-context.js";
import { intentOn } from "../gate/describe-access.js";
import type { Access, FallbackReason, Flow, Intent, Ruling } from "../contract/gate.js";
import type { Node } from "../node/node.js";
import { childOf } from "../operations/lookup.js";
import { OpenPlan, type OpenToPlan, planOpen } from "./plan-open.js";

/** How a file would be opened under a ruling. */
export interface ExpectedOpen {
  flow: Flow;
  /** Why a granted open would be mediated, or would not share the registered file. */
  because: FallbackReason | undefined;
  /** The file would be copied up first. */
  copiesUp: boolean;
}

export interface Explained {
  intent: Intent;
  /** Only regular files are opened through the daemon. */
  isRegular: boolean;
  /** The layer that holds the content: another one than the object's if only metadata was copied up. */
  dataLayer: string;
  expect(ruling: Ruling): ExpectedOpen;
}

const CHANGES: ReadonlySet<Access> = new Set(["write", "truncate", "metadata"]);

function expected(core: OpenContext, node: Node, accesses: readonly Access[], ruling: Ruling): ExpectedOpen {
  const write = accesses.some((access) => CHANGES.has(access));
  const first: OpenToPlan = {
    node,
    nodeId: node.id,
    io: node.io,
    byAlias: false,
    pid: 0,
    flags: write ? O.RDWR : O.RDONLY,
    write,
    arrival: "first",
    nameless: false,
    isNew: false,
    // It is mediated either way.
    saysEmpty: false,
  };
  const plan = planOpen(core, first, ruling, new OpenPlan());
  // The kernel would look the name up again, and come by a nodeId that nothing is open by.
  if (plan.placement !== "here") planOpen(core, { ...first, io: undefined, arrival: "again" }, ruling, plan);
  return { flow: plan.mode === "passthrough" ? "passthrough" : "mediated", because: plan.fallback, copiesUp: plan.copiesUp };
}

function walk(core: OpenContext, names: readonly ByteName[], visited: Node[]): Node | number {
  let node: Node = core.root;
  for (const name of names) {
    if (!node.isDirectory) return Errno.ENOTDIR;
    const child = childOf(core, node, name);
    if (typeof child === "number") return child;
    visited.push(child);
    node = child;
  }
  return node;
}

/** Walks `names` from the root of the mount; follows no link. Returns the result of `use`, or the errno. */
export function explainOpen<Result>(
  core: OpenContext,
  what: { names: readonly ByteName[]; accesses: Access[] },
  use: (explained: Explained) => Result,
): Result | number {
  const visited: Node[] = [];
  const node = walk(core, what.names, visited);
  try {
    if (typeof node === "number") return node;
    const writes = what.accesses.some((access) => CHANGES.has(access));
    if (writes && core.upper === undefined) return Errno.EROFS;
    return use({
      intent: intentOn(core, node, { operation: "open", accesses: what.accesses }),
      isRegular: node.isRegular,
      dataLayer: node.isRegular ? node.dataLayer.name : node.top.layer.name,
      expect: (ruling) => expected(core, node, what.accesses, ruling),
    });
  } finally {
    for (const each of visited.reverse()) core.nodes.letGo(each);
  }
}
