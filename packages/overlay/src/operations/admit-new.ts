/** The node of an object that was just made in the upper layer. */
import { type Attr, type EntryOut, S } from "@sluice/vfs";
import type { OperationContext } from "./operation-context.js";
import { statName } from "../layer/system-calls.js";
import { RealDir } from "../layer/host-layer.js";
import { setIno } from "../node/admit.js";
import type { Dentry } from "../node/node.js";
import { arrived } from "./arrivals.js";
import { enter } from "./lookup.js";

/** `seen`: its attributes, if the caller has them. 0 or the errno. */
export function admitNew(core: OperationContext, { parent, name }: Dentry, out: EntryOut, seen?: Attr): number {
  const upperDir = parent.upperDir as RealDir;
  if (seen === undefined) {
    const dirFd = core.fds.of(upperDir);
    const status = dirFd < 0 ? dirFd : statName(dirFd, name, out.attr);
    if (status < 0) return -status;
  } else out.attr.copyFrom(seen);
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
