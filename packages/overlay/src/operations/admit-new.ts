/** The node of an object that was just made in the upper layer. */
import { type EntryOut, S } from "@sluice/vfs";
import type { OperationContext } from "./operation-context.js";
import { RealDir } from "../layer/host-layer.js";
import { setIno } from "../node/admit.js";
import type { Dentry } from "../node/node.js";
import { arrived } from "./arrivals.js";
import { enter } from "./lookup.js";

/** `out.attr` has its attributes. 0. */
export function admitNew(core: OperationContext, { parent, name }: Dentry, out: EntryOut): number {
  const upperDir = parent.upperDir as RealDir;
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
