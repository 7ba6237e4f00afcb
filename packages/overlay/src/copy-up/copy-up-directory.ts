/** Copy-up of directories. A directory is copied alone, after its ancestors; its entries stay in their layers. */
import { andFinally, Attr, Errno, inTurns, O, type Status } from "@sluice/vfs";
import type { CopyUpContext } from "./copy-up-context.js";
import { type HostLayer, RealDir } from "../layer/host-layer.js";
import { closeFd, openDirectory, openName, statFd, upkeep } from "../layer/system-calls.js";
import { copyOrigin } from "../marks/origin.js";
import type { Node } from "../node/node.js";
import { openNode } from "../node/open-node.js";
import { inheritProtection, protectionOf } from "../node/protection.js";
import { copyMetadata } from "./copy-metadata.js";
import { noteHidden } from "./note-base.js";
import { markImpure, whileOpen } from "./touched-parent.js";

const attr = new Attr();

/** 0 once `node` and all above it exist in the upper layer; else a positive errno. */
export function copyUpDirectory(core: CopyUpContext, node: Node): number {
  if (core.upper === undefined) return Errno.EROFS;
  if (node.upperDir !== undefined) return 0;
  if (node.unlinked) return Errno.ENOENT;
  const chain: Node[] = [];
  for (let at: Node | undefined = node; at !== undefined && at.upperDir === undefined; at = at.parent) chain.push(at);
  for (let next = chain.pop(); next !== undefined; next = chain.pop()) {
    const status = copyOne(core, next);
    if (status !== 0) return status;
  }
  return 0;
}

/** Directories that are copied up in one go. */
const LEVELS_AT_ONCE = 16;

/**
 * Copies `node` and all above it up in turns of the event loop, if very many of them are missing in the upper layer. Else it does
 * nothing and gives 0: copyUpDirectory is for these. Directories may be moved between two turns.
 */
export function copyUpDeep(core: CopyUpContext, node: Node | undefined): Status {
  let levels = 0;
  for (let at = node; at !== undefined && at.upperDir === undefined && levels <= LEVELS_AT_ONCE; at = at.parent) levels++;
  if (node === undefined || levels <= LEVELS_AT_ONCE) return 0;
  core.nodes.hold(node);
  return andFinally(
    () => inTurns(copyChain(core, node)),
    () => core.nodes.release(node),
  );
}

function* copyChain(core: CopyUpContext, node: Node): Generator<void, number> {
  for (;;) {
    let top: Node | undefined;
    for (let at: Node | undefined = node; at !== undefined && at.upperDir === undefined; at = at.parent) top = at;
    if (top === undefined) return 0;
    if (top.parent === undefined || top.unlinked) return Errno.ENOENT;
    const status = copyOne(core, top);
    if (status !== 0) return status;
    yield;
  }
}

function copyOne(core: CopyUpContext, node: Node): number {
  const flags = protectionOf(core, node);
  if (flags < 0) return -flags;
  const scratch = core.fds.of(core.scratch as RealDir);
  const source = openNode(core, node, O.PATH | O.DIRECTORY);
  if (source < 0) return -source;
  const name = core.scratchName();
  let status = -upkeep.mkdirat(scratch, name, 0o700) || 0;
  if (status === 0) {
    noteHidden(core, node, source);
    status = furnish(core, { source, scratch, name, layer: node.top.layer, flags }) || moveIntoPlace(core, node, { scratch, name });
    if (status !== 0) upkeep.unlinkat(scratch, name, 0x200);
  }
  closeFd(source);
  return status;
}

interface NewDirectory {
  source: number;
  scratch: number;
  name: string;
  layer: HostLayer;
  flags: number;
}

function furnish(core: CopyUpContext, copy: NewDirectory): number {
  const target = openName(copy.scratch, copy.name, O.RDONLY | O.DIRECTORY, 0);
  if (target < 0) return -target;
  const status = furnishDirectory(core, { ...copy, target }) || inheritProtection(core, target, copy.flags);
  closeFd(target);
  return status;
}

/** Makes an empty directory look like the one of a lower layer that it is a copy of. 0 or a positive errno. */
export function furnishDirectory(core: CopyUpContext, copy: { source: number; target: number; layer: HostLayer }): number {
  const { source, target, layer } = copy;
  const status = -statFd(source, attr) || copyMetadata(core, { source, target, attr });
  if (status !== 0) return status;
  copyOrigin(core, layer, { source, target });
  // A descriptor of its own: O_PATH gives no flags, and a caller that may not read the directory can still copy it up.
  const readable = openDirectory(source);
  if (readable < 0) return 0;
  upkeep.copyFlags(target, readable);
  closeFd(readable);
  return 0;
}

/** The kernel asks for the right to write to a directory that gets another parent. */
function moveClosed(
  core: CopyUpContext,
  node: Node,
  { scratch, name, into, upperDir }: { scratch: number; name: string; into: number; upperDir: RealDir },
): number {
  const own = openName(scratch, name, O.PATH | O.DIRECTORY, 0);
  if (own < 0) return own;
  const move = (): number => upkeep.moveKeepingTimes(scratch, name, into, node.name);
  const above = upperDir.components();
  const moved = whileOpen(core, { fd: own, path: [...above, node.name].join("/") }, () => {
    const status = move();
    return status === -Errno.EACCES ? whileOpen(core, { fd: into, path: above.join("/") }, move) : status;
  });
  closeFd(own);
  return moved;
}

function moveIntoPlace(core: CopyUpContext, node: Node, copy: { scratch: number; name: string }): number {
  const parent = node.parent as Node;
  const upperDir = parent.upperDir as RealDir;
  markImpure(core, parent);
  const into = core.fds.of(upperDir);
  if (into < 0) return -into;
  let status = upkeep.moveKeepingTimes(copy.scratch, copy.name, into, node.name);
  if (status === -Errno.EACCES) status = moveClosed(core, node, { ...copy, into, upperDir });
  if (status < 0) return -status;
  node.dirs?.unshift(new RealDir(core.upper as HostLayer, upperDir, node.name));
  node.version++;
  return 0;
}
