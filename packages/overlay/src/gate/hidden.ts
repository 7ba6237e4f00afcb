/**
 * Names that the policy in force hides: they do not exist for any caller, and cannot be made. A file is hidden if all names that the
 * mount knows of it are, since the kernel reaches it by one of these. Costs one test while nothing is hidden.
 */
import { type ByteName, Errno, type NodeId } from "@sluice/vfs";
import type { Gate } from "../contract/gate.js";
import type { NodeTable } from "../node/node-table.js";
import { type Node, pathOf } from "../node/node.js";
import type { GateContext } from "./gate-context.js";

export function hidesName({ gate }: GateContext, parent: Node, name: ByteName): boolean {
  return gate.hidesNames && gate.hides(pathOf(parent), name);
}

export function hidesNode({ gate }: GateContext, node: Node): boolean {
  return gate.hidesNames && areHidden(gate, node);
}

function areHidden(gate: Gate, { parent, name, others, lastPath }: Node): boolean {
  if (parent === undefined) return lastPath !== undefined && hidesPath(gate, lastPath);
  if (!gate.hides(pathOf(parent), name)) return false;
  return others?.every((other) => gate.hides(pathOf(other.parent), other.name)) !== false;
}

function hidesPath(gate: Gate, path: string): boolean {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? gate.hides("", path) : gate.hides(path.slice(0, slash), path.slice(slash + 1));
}

/** The node of an id: ESTALE if there is none, ENOENT if it is hidden. A caller may have come by it before it was hidden. */
export function visibleNode(core: GateContext & { readonly nodes: NodeTable }, id: NodeId): Node | number {
  const node = core.nodes.get(id);
  if (node === undefined) return Errno.ESTALE;
  return hidesNode(core, node) ? Errno.ENOENT : node;
}
