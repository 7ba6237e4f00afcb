/** Asks the gate about a rename: both ends, and every file that a directory takes along. */
import { type ByteName, type CallContext, Errno } from "@sluice/vfs";
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
  const other = plan.target === plan.node ? undefined : plan.target;
  const trees = [{ node: plan.node, from, to }];
  if (other !== undefined && plan.exchange) trees.push({ node: other, from: to, to: from });
  try {
    const refused = other === undefined || plan.exchange ? 0 : await authorizeOverwrite(core, call, { node: other, path: to });
    return refused || (await authorizeTrees(core, call, trees));
  } catch {
    // The gate rejects for one reason only: the caller was interrupted.
    return Errno.EINTR;
  }
}

async function authorizeOverwrite(core: Core, call: CallContext, { node, path }: { node: Node; path: string }): Promise<number> {
  const ruling = await core.gate.authorize(call, intentOn(core, node, { operation: "rename", accesses: ["delete"], path }));
  return ruling.effect === "deny" ? ruling.errno : 0;
}

interface MovedTree {
  node: Node;
  from: string;
  to: string;
}

/** A directory that was judged with all that it held, and how many names had come into it by then. */
interface Judged extends MovedTree {
  arrivals: number;
}

interface Judging {
  tree: MovedTree;
  /** Held until all is judged. */
  judged: Map<Node, Judged>;
}

/** Names may come in while somebody is asked: then those directories are judged again, so often at most. */
const MAX_LOOKS = 16;

/** The last that is asked about: what comes into one of them until all are judged is judged as well. */
async function authorizeTrees(core: Core, call: CallContext, trees: readonly MovedTree[]): Promise<number> {
  const judged = new Map<Node, Judged>();
  try {
    let again = trees;
    let refused = 0;
    for (let looks = 0; looks < MAX_LOOKS && again.length > 0 && refused === 0; looks++) {
      for (const each of again) refused ||= await judge(core, call, { tree: each, judged });
      again = [...judged.values()].filter(({ node, arrivals }) => node.arrivals !== arrivals);
    }
    return refused || (again.length > 0 ? Errno.EBUSY : 0);
  } finally {
    for (const node of judged.keys()) core.nodes.release(node);
  }
}

async function judge(core: Core, call: CallContext, { tree, judged }: Judging): Promise<number> {
  const { node, from, to } = tree;
  const { operation: _, accesses: __, ...source } = intentOn(core, node, { operation: "rename", accesses: ["rename"], path: from });
  const refused = await authorizeMove(core, call, { operation: "rename", source, targetPath: to });
  if (refused !== 0 || !node.isDirectory) return refused;
  if (!judged.has(node)) core.nodes.hold(node);
  judged.set(node, { node, from, to, arrivals: node.arrivals });
  const listing = await readListing(core, node);
  if (typeof listing === "number") return listing;
  for (const name of listing.names) {
    const inside = await judgeEntry(core, call, { tree, judged }, name);
    if (inside !== 0) return inside;
  }
  return 0;
}

/** The kernel may never have looked at it: it is kept while somebody is asked about it, a directory until all is judged. */
async function judgeEntry(core: Core, call: CallContext, { tree, judged }: Judging, name: ByteName): Promise<number> {
  const node = childOf(core, tree.node, name);
  if (typeof node === "number") return 0;
  core.nodes.hold(node);
  try {
    return await judge(core, call, { tree: { node, from: `${tree.from}/${name}`, to: `${tree.to}/${name}` }, judged });
  } finally {
    core.nodes.release(node);
  }
}
