/** LINK: one more name for an object of the upper layer. */
import { AT, type CallContext, type EntryOut, Errno, type NodeId, type Status } from "@sluice/vfs";
import { copyUp } from "../copy-up/copy-up.js";
import { markImpure } from "../copy-up/touched-parent.js";
import type { Core } from "../core.js";
import { authorizeMove, governsMove } from "../gate/authorize-move.js";
import { IntentKind, intendToLink, intentLeft } from "../journal/intents.js";
import { statName, sys } from "../layer/host-layer.js";
import { type Node, pathAt } from "../node/node.js";
import { aim, statNode } from "../node/open-node.js";
import { createObject } from "./create-object.js";
import { directoryOf, enter } from "./lookup.js";
import type { At } from "./make.js";
import { intentOn } from "./remove.js";

export function link(core: Core, call: CallContext, request: { node: NodeId; at: At }, out: EntryOut): Status {
  const node = core.nodes.get(request.node);
  const parent = directoryOf(core, request.at.parent);
  if (node === undefined) return Errno.ESTALE;
  if (typeof parent === "number") return parent;
  if (core.upper === undefined) return Errno.EROFS;
  if (node.isDirectory) return Errno.EPERM;
  const act = (): Status => linkCopied(core, call, { node, parent, name: request.at.name }, out);
  if (!governsMove(core.gate, "link")) return act();
  const { operation: _, accesses: __, ...source } = intentOn(core, node, { operation: "link", accesses: ["link"] });
  return authorizeMove(core, call, { operation: "link", source, targetPath: pathAt(parent, request.at.name) }).then(
    (refused) => (refused !== 0 ? refused : act()),
    () => Errno.EINTR,
  );
}

interface NewName {
  node: Node;
  parent: Node;
  name: string;
}

function linkCopied(core: Core, call: CallContext, wish: NewName, out: EntryOut): Status {
  const copied = copyUp(core, wish.node, { call, truncate: false });
  if (typeof copied === "number") return copied !== 0 ? copied : linkNow(core, call, wish, out);
  return copied.then((status) => (status !== 0 ? status : linkNow(core, call, wish, out)));
}

/** Does the name lead to the node's object already? An earlier process was about to make it. */
function isThere(core: Core, { node, parent, name }: NewName): boolean {
  const dirFd = parent.upperDir === undefined ? -1 : core.fds.of(parent.upperDir);
  if (dirFd < 0 || statName(dirFd, name, core.scratchAttr) < 0) return false;
  const { ino } = core.scratchAttr;
  return statNode(core, node, core.scratchAttr) === 0 && core.scratchAttr.ino === ino;
}

function linkNow(core: Core, call: CallContext, wish: NewName, out: EntryOut): number {
  const { node, parent, name } = wish;
  const make = (dirFd: number, newName: string): number => {
    const from = aim(core, node);
    if (from.fd < 0) return from.fd;
    return sys.linkat(from.fd, from.name, dirFd, newName, from.name === "" ? AT.EMPTY_PATH : 0);
  };
  const begun = intentLeft(core, call, IntentKind.link) !== undefined && isThere(core, wish);
  intendToLink(core, call, wish);
  const made = begun ? 0 : createObject(core, { call, parent, name, umask: 0, directory: false, asDaemon: true, make });
  if (made < 0) return -made;
  markImpure(core, parent);
  if (node.fd >= 0) {
    // An object without a name (O_TMPFILE, or its last one was removed) has one now.
    sys.close(node.fd);
    node.fd = -1;
    node.lastPath = undefined;
    if (node.indexed === undefined) {
      node.dir = parent.upperDir;
      node.realName = name;
    }
  }
  if (core.nodes.child(parent, name) !== node) core.nodes.attach(node, parent, name);
  core.journal?.nameless(node);
  parent.arrivals++;
  node.version++;
  const status = statNode(core, node, out.attr);
  if (status < 0) return -status;
  core.nodes.rememberLink(node, out.attr.ino);
  return enter(core, node, out);
}
