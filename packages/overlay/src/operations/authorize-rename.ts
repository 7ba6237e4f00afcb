/** Asks the gate about a rename: both ends, and every file that a directory takes along. */
import { type CallContext, Errno } from "@sluice/vfs";
import type { Core } from "../core.js";
import { authorizeMove } from "../gate/authorize-move.js";
import { readListing } from "../merge/listing.js";
import { type Node, pathAt } from "../node/node.js";
import { childOf } from "./lookup.js";
import { intentOn } from "./remove.js";
import type { RenamePlan } from "./rename.js";

/** 0, or the errno of the refusal. */
export async function authorizeRename(core: Core, call: CallContext, plan: RenamePlan): Promise<number> {
  const from = pathAt(plan.parent, plan.name);
  const to = pathAt(plan.newParent, plan.newName);
  try {
    const refused = await authorizeTree(core, call, { node: plan.node, from, to });
    if (refused !== 0) return refused;
    if (plan.target === undefined || plan.target === plan.node) return 0;
    if (plan.exchange) return await authorizeTree(core, call, { node: plan.target, from: to, to: from });
    const overwrite = intentOn(core, plan.target, { operation: "rename", accesses: ["delete"], path: to });
    const ruling = await core.gate.authorize(call, overwrite);
    return ruling.effect === "deny" ? ruling.errno : 0;
  } catch {
    // The gate rejects for one reason only: the caller was interrupted.
    return Errno.EINTR;
  }
}

interface MovedTree {
  node: Node;
  from: string;
  to: string;
}

async function authorizeTree(core: Core, call: CallContext, tree: MovedTree): Promise<number> {
  const open: MovedTree[] = [tree];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const {
      operation: _,
      accesses: __,
      ...source
    } = intentOn(core, next.node, { operation: "rename", accesses: ["rename"], path: next.from });
    const refused = await authorizeMove(core, call, { operation: "rename", source, targetPath: next.to });
    if (refused !== 0) return refused;
    if (!next.node.isDirectory) continue;
    const entries = await entriesOf(core, next);
    if (typeof entries === "number") return entries;
    open.push(...entries);
  }
  return 0;
}

async function entriesOf(core: Core, tree: MovedTree): Promise<MovedTree[] | number> {
  const listing = await readListing(core, tree.node);
  if (typeof listing === "number") return listing;
  const entries: MovedTree[] = [];
  for (const name of listing.names) {
    const node = childOf(core, tree.node, name);
    if (typeof node === "number") continue;
    entries.push({ node, from: `${tree.from}/${name}`, to: `${tree.to}/${name}` });
  }
  return entries;
}
