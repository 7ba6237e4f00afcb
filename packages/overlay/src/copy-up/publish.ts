/** The one step of a copy-up that changes the merged tree: from the scratch directory into its place in the upper layer. */
import { Attr, Errno, O, RENAME } from "@sluice/vfs";
import type { Core } from "../core.js";
import { statFd, sys } from "../layer/host-layer.js";
import type { RealDir } from "../layer/real-dir.js";
import type { Node } from "../node/node.js";
import { openNode } from "../node/open-node.js";
import { markImpure, restoreTimes } from "./touched-parent.js";

const parentAttr = new Attr();

/** `target` is a descriptor of the copy, `name` its name in the scratch directory. 0 or a positive errno. */
export function publish(core: Core, node: Node, copy: { name: string; target: number }): number {
  const scratch = core.fds.of(core.scratch as RealDir);
  if (node.parent === undefined) return publishNameless(core, node, copy);
  const upperDir = node.parent.upperDir;
  if (upperDir === undefined) return Errno.ESTALE;
  markImpure(core, node.parent);
  const into = core.fds.of(upperDir);
  if (into < 0) return -into;
  const known = statFd(into, parentAttr) === 0;
  const status = sys.renameat2(scratch, copy.name, into, node.name, RENAME.NOREPLACE);
  if (status < 0) return -status;
  if (known) restoreTimes(into, parentAttr);
  node.dir = upperDir;
  node.realName = node.name;
  node.version++;
  moveReaders(core, node);
  return 0;
}

/** The object lost its name while it was copied, or before: the copy lives on by its descriptor alone. */
function publishNameless(core: Core, node: Node, copy: { name: string; target: number }): number {
  const fd = sys.openat(-100, `/proc/self/fd/${copy.target}`, O.PATH | O.CLOEXEC, 0);
  if (fd < 0) return -fd;
  sys.unlinkat(core.fds.of(core.scratch as RealDir), copy.name, 0);
  if (node.fd >= 0) sys.close(node.fd);
  node.fd = fd;
  node.dir = core.scratch;
  node.version++;
  moveReaders(core, node);
  return 0;
}

/** Mediated readers read the copy from now on, and so see later writes. Passthrough ones stay with the lower file. */
function moveReaders(core: Core, node: Node): void {
  for (const file of node.io?.handles ?? []) {
    if (file.mode === "passthrough") continue;
    const fd = openNode(core, node, O.RDONLY);
    if (fd < 0) continue;
    sys.close(file.fd);
    file.fd = fd;
  }
}
