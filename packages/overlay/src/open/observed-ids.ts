/**
 * Further nodeIds of a node, by which opens are separated: the alias for an observed open, and the LOOKUP that leads an open
 * there. plan-open.ts decides which open goes by which.
 */
import type { CallContext, EntryOut, NodeId, Status } from "@sluice/vfs";
import type { OpenContext } from "./open-context.js";
import type { Node, NodeAlias } from "../node/node.js";

/** The nodeId, an alias by now, serves observed opens alone. */
export function reserveForObserved(core: OpenContext, node: Node, nodeId: NodeId): void {
  const alias = core.nodes.alias(nodeId);
  if (alias === undefined) return;
  alias.io.observedOnly = true;
  node.observedAlias ??= alias;
  core.journal?.aliasChanged(alias);
}

/** A look-up found a node, whose entry is in `out`. If an observed open was sent there, it leads to an alias for that open. */
export function followReroute(core: OpenContext, call: CallContext, status: Status, out: EntryOut): Status {
  if (status !== 0 || out.nodeId === 0) {
    core.reroutes.givenUp(call.pid);
    return status;
  }
  const node = core.nodes.get(out.nodeId);
  if (node === undefined || !core.reroutes.found(call.pid, node)) return status;
  const alias = freeAlias(core, call.pid, node);
  core.reroutes.leadsTo(call.pid, alias.id);
  core.nodes.enterInstead(alias);
  out.nodeId = alias.id;
  out.attrTtlMs = 0;
  return status;
}

/** An alias that nothing is open by, and that no other thread is on its way to. The kernel may look up twice: both find the same one. */
function freeAlias(core: OpenContext, pid: number, node: Node): NodeAlias {
  const before = node.observedAlias;
  const isFree = before?.io.handles.size === 0 && !core.reroutes.awaitsOther(pid, node, before.id);
  if (before !== undefined && isFree) return before;
  const alias = core.nodes.addAlias(node);
  alias.io.observedOnly = true;
  node.observedAlias = alias;
  core.journal?.aliasChanged(before);
  core.journal?.aliasChanged(alias);
  // Attributes that the kernel caches for the node would not follow what is done by the alias.
  if (before === undefined) core.port.invalidateInode(node.id, -1, 0);
  return alias;
}
