/** READLINK. */
import { type DataOut, Errno, type NodeId, S } from "@sluice/vfs";
import type { IoContext } from "../io/io-context.js";
import { visibleNode } from "../gate/hidden.js";
import { readLink } from "../layer/system-calls.js";
import { aim } from "../node/open-node.js";

const PATH_MAX = 4096;

export function readlink(core: IoContext, id: NodeId, out: DataOut): number {
  const node = visibleNode(core, id);
  if (typeof node === "number") return node;
  if (node.kind !== S.IFLNK) return Errno.EINVAL;
  const at = aim(core, node);
  const length = at.fd < 0 ? at.fd : readLink(at.fd, at.name, out.reserve(PATH_MAX));
  if (length < 0) return -length;
  out.length = length;
  return 0;
}
