/** Describes a change of attributes or flags by nodeId for its judgement, by every name of the object. */
import { Errno, type NodeId } from "@sluice/vfs";
import type { IoContext } from "../io/io-context.js";
import { intentOn } from "../gate/describe-access.js";
import { visibleNode } from "../gate/hidden.js";
import { governsAny } from "../gate/governs.js";
import { type GovernedAccess, NO_ACCESS } from "../gate/judged-accesses.js";

/** No access if the policy does not govern it; the errno if it cannot happen. */
export function metadataAccess(core: IoContext, id: NodeId): readonly GovernedAccess[] | number {
  const node = visibleNode(core, id);
  if (typeof node === "number") return node;
  if (core.upper === undefined) return Errno.EROFS;
  if (!governsAny(core.gate, "metadata")) return NO_ACCESS;
  return [{ intent: intentOn(core, node, { operation: "setattr", accesses: ["metadata"] }), node }];
}
