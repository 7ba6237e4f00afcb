/** The node of an object that was just made in the upper layer. */
import { type EntryOut, type ByteName, S } from "@sluice/vfs";
import type { OperationContext } from "./operation-context.js";
import { statName } from "../layer/system-calls.js";
import { RealDir } from "../layer/host-layer.js";
import { setIno } from "../node/admit.js";
import type { Node } from "../node/node.js";
import { arrived } from "./arrivals.js";
import { enter } from "./lookup.js";

export function admitNew(core: OperationContext, parent: Node, name: ByteName, out: EntryOut): number {
  const upperDir = parent.upperDir as RealDir;
  const dirFd = core.fds.of(upperDir);
  if (dirFd < 0) return -dirFd;
  const status = statName(dirFd, name, out.attr);
  if (status < 0) return -status;
  const kind = out.attr.mode & S.IFMT;
  const node = core.nodes.make(kind);
  if (kind === S.IFDIR) {
    node.dirs = [new RealDir(upperDir.layer, upperDir, name)];
    node.opaque = true;
  } else {
    node.dir = upperDir;
    node.realName = name;
  }
  const words = out.attr.words;
  setIno(core, node, { lo: words[0] as number, hi: words[1] as number, device: upperDir.layer.deviceIndex });
  core.nodes.attach(node, parent, name);
  arrived(core, parent, name);
  return enter(core, node, out);
}
