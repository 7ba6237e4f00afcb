/** Copy-up of a regular file: data, then attributes, made durable under a name in the scratch directory, then published. */
import { Attr, Errno, O } from "@sluice/vfs";
import type { Core } from "../core.js";
import { type HostLayer, openName, statFd, sys } from "../layer/host-layer.js";
import { encodeOrigin, writeOrigin } from "../marks/origin.js";
import { setIno } from "../node/admit.js";
import type { Node } from "../node/node.js";
import { openNode } from "../node/open-node.js";
import { copyData } from "./copy-data.js";
import { copyMetadata } from "./copy-metadata.js";
import type { CopyUpJob } from "./copy-up-job.js";
import { publish } from "./publish.js";

/** 0 or a positive errno. */
export async function copyRegular(core: Core, job: CopyUpJob): Promise<number> {
  const { node } = job;
  const { layer } = node.top;
  const source = openNode(core, node, O.RDONLY);
  if (source < 0) return -source;
  const name = core.scratchName();
  const attr = new Attr();
  let status: number = Errno.EIO;
  try {
    status = -statFd(source, attr) || 0;
    if (status !== 0) return status;
    job.sizeBytes = job.truncate ? 0 : attr.size;
    status = await withTemporary(core, name, (target) => fill(core, job, { layer, source, target, attr, name }));
    return status;
  } finally {
    sys.close(source);
    core.copyUps++;
    core.events.copyUp({ path: job.path, bytes: job.copiedBytes, durationMs: performance.now() - job.startedMs, status });
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
  layer: HostLayer;
  source: number;
  target: number;
  attr: Attr;
  name: string;
}

async function fill(core: Core, job: CopyUpJob, copy: FileCopy): Promise<number> {
  const { layer, source, target, attr, name } = copy;
  const { node } = job;
  if (job.sizeBytes > 0) {
    const copied = await copyData(core, job, { source, target, size: attr.sizeExact, sparse: attr.blocks * 512 < attr.size });
    if (copied !== 0) return copied;
  }
  const status = copyMetadata(core, { source, target, attr });
  if (status !== 0) return status;
  const origin = encodeOrigin(layer, source, "");
  writeOrigin(core, target, origin);
  if (!core.config.volatile) {
    const synced = await sys.fsyncAsync(target, false);
    if (synced < 0) return -synced;
  }
  const published = job.cancelled ? Errno.EINTR : publish(core, node, { name, target, origin, attr });
  if (published === 0 && attr.nlink > 1 && node.indexed === undefined) partFromLinks(core, node, target);
  return published;
}

/** The lower file's other names stay behind: another file needs another inode number (fs/overlayfs/inode.c ovl_getattr). */
function partFromLinks(core: Core, node: Node, target: number): void {
  const { words } = core.scratchAttr;
  if (statFd(target, core.scratchAttr) < 0) return;
  setIno(core, node, { lo: words[0] as number, hi: words[1] as number, device: node.top.layer.deviceIndex });
}
