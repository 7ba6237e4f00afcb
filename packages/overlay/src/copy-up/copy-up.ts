/**
 * Copy-up: makes an object exist in the upper layer before it is changed.
 *
 * Parents first; made in the scratch directory with the original's owner, mode, times and attributes; durable before it
 * shows; then renamed into place in one step. Until that rename nothing in the merged tree has changed, so a failure or a
 * crash at any moment leaves both layers as they were, and at worst a leftover in the scratch directory.
 */
import { Attr, type CallContext, Errno, O, S, type Status } from "@sluice/vfs";
import type { Core } from "../core.js";
import { openName, statFd, sys } from "../layer/host-layer.js";
import { encodeOrigin, writeOrigin } from "../marks/origin.js";
import { lowerLinkKey, setIno } from "../node/admit.js";
import { type Node, pathOf } from "../node/node.js";
import { openNode } from "../node/open-node.js";
import { copyUpDirectory } from "./copy-up-directory.js";
import { copyData } from "./copy-data.js";
import { copyMetadata } from "./copy-metadata.js";
import { publish } from "./publish.js";

export interface CopyUpOptions {
  call: CallContext;
  /** The data is about to be thrown away: copy none. */
  truncate: boolean;
}

/** 0 once the node's object lies in the upper layer. Concurrent callers wait for one and the same copy. */
export function copyUp(core: Core, node: Node, options: CopyUpOptions): Status {
  if (node.inUpper) return 0;
  if (core.upper === undefined) return Errno.EROFS;
  if (node.isDirectory) return copyUpDirectory(core, node);
  if (node.copyUp === undefined) {
    const parent = node.parent === undefined ? 0 : copyUpDirectory(core, node.parent);
    if (parent !== 0) return parent;
    const started = node.isRegular ? copyUpRegular(core, node, options) : copyUpSpecial(core, node);
    if (typeof started === "number") return started;
    node.copyUp = started.finally(() => {
      node.copyUp = undefined;
      core.nodes.letGo(node);
    });
  }
  return untilAborted(node.copyUp, options.call.signal);
}

/** An interrupted caller goes home at once; the copy goes on for the others and is kept. */
function untilAborted(copy: Promise<number>, signal: AbortSignal): Promise<number> {
  if (signal.aborted) return Promise.resolve(Errno.EINTR);
  return new Promise((resolve, reject) => {
    const interrupted = (): void => resolve(Errno.EINTR);
    signal.addEventListener("abort", interrupted, { once: true });
    copy.then(resolve, reject).finally(() => signal.removeEventListener("abort", interrupted));
  });
}

async function copyUpRegular(core: Core, node: Node, options: CopyUpOptions): Promise<number> {
  const started = performance.now();
  const source = openNode(core, node, O.RDONLY);
  if (source < 0) return -source;
  const name = core.scratchName();
  const attr = new Attr();
  let bytes = 0;
  try {
    const status = statFd(source, attr);
    if (status < 0) return -status;
    bytes = options.truncate ? 0 : attr.size;
    return await withTemporary(core, name, (target) => fill(core, { node, source, target, attr, name, bytes }));
  } finally {
    sys.close(source);
    core.copyUps++;
    const durationMs = performance.now() - started;
    core.events.copyUp({ path: pathOf(node), bytes, durationMs, status: node.inUpper ? 0 : Errno.EIO });
  }
}

/** Runs `work` on a new file in the scratch directory, which is gone again if it fails. */
async function withTemporary(core: Core, name: string, work: (target: number) => Promise<number>): Promise<number> {
  const scratch = core.fds.of(core.scratch as NonNullable<Core["scratch"]>);
  const target = scratch < 0 ? scratch : openName(scratch, name, O.RDWR | O.CREAT | O.EXCL, 0o600);
  if (target < 0) return -target;
  let status: number = Errno.EIO;
  try {
    status = await work(target);
  } finally {
    sys.close(target);
    if (status !== 0) sys.unlinkat(core.fds.of(core.scratch as NonNullable<Core["scratch"]>), name, 0);
  }
  return status;
}

interface FileCopy {
  node: Node;
  source: number;
  target: number;
  attr: Attr;
  name: string;
  bytes: number;
}

async function fill(core: Core, copy: FileCopy): Promise<number> {
  const { node, source, target, attr } = copy;
  if (copy.bytes > 0) {
    const copied = await copyData(core, { source, target, size: attr.sizeExact, sparse: attr.blocks * 512 < attr.size });
    if (copied !== 0) return copied;
  }
  const status = copyMetadata(core, { source, target, attr });
  if (status !== 0) return status;
  writeOrigin(core, target, encodeOrigin(source));
  if (!core.config.volatile) {
    const synced = await sys.fsyncAsync(target, false);
    if (synced < 0) return -synced;
  }
  const key = attr.nlink > 1 ? lowerLinkKey(node, attr.ino) : undefined;
  const published = publish(core, node, copy);
  if (published === 0 && key !== undefined) partFromLinks(core, node, { key, target });
  return published;
}

/** The lower file's other names stay behind: another file needs another inode number (fs/overlayfs/inode.c ovl_getattr). */
function partFromLinks(core: Core, node: Node, copy: { key: string; target: number }): void {
  core.nodes.forgetLowerLink(node, copy.key);
  const { words } = core.scratchAttr;
  if (statFd(copy.target, core.scratchAttr) < 0) return;
  setIno(core, node, { lo: words[0] as number, hi: words[1] as number, device: node.top.layer.deviceIndex });
}

/** Symlinks, devices, FIFOs and sockets: nothing to copy but the object itself. */
function copyUpSpecial(core: Core, node: Node): number {
  const scratch = core.fds.of(core.scratch as NonNullable<Core["scratch"]>);
  const source = openNode(core, node, O.PATH | O.NOFOLLOW);
  if (source < 0) return -source;
  const name = core.scratchName();
  const attr = new Attr();
  try {
    let status = statFd(source, attr);
    if (status === 0) status = makeSpecial({ scratch, name, source, attr });
    if (status < 0) return -status;
    const target = openName(scratch, name, O.PATH | O.NOFOLLOW, 0);
    let copied = target < 0 ? -target : copyMetadata(core, { source, target, attr });
    if (copied === 0) {
      writeOrigin(core, target, encodeOrigin(source));
      copied = publish(core, node, { name, target });
    }
    if (copied !== 0) sys.unlinkat(scratch, name, 0);
    if (target >= 0) sys.close(target);
    return copied;
  } finally {
    sys.close(source);
  }
}

const link = Buffer.alloc(4096);

function makeSpecial(special: { scratch: number; name: string; source: number; attr: Attr }): number {
  const { scratch, name, attr } = special;
  if ((attr.mode & S.IFMT) === S.IFLNK) {
    const length = sys.readlinkat(special.source, "", link);
    return length < 0 ? length : sys.symlinkat(link.toString("latin1", 0, length), scratch, name);
  }
  const rdev = attr.rdev;
  return sys.mknodat(scratch, name, attr.mode, (rdev >>> 8) & 0xfff, (rdev & 0xff) | ((rdev >>> 12) & 0xfff00));
}
