/**
 * Gives a metadata-only copy in the upper layer its data, in place: the mark goes last, so that until then, and after a
 * crash, the data is still the one below.
 */
import { AT, Attr, Errno, O } from "@sluice/vfs";
import type { CopyUpContext } from "./copy-up-context.js";
import type { DataLocation } from "../layer/data-location.js";
import { syncIn } from "../layer/host-layer.js";
import { closeFd, readXattr, statFd, upkeep } from "../layer/system-calls.js";
import { clearMetacopy } from "../marks/metacopy.js";
import { openData } from "../node/open-data.js";
import { openObject } from "../node/open-node.js";
import { copyContent } from "./copy-data.js";
import { ABANDONED, type CopyUpJob } from "./copy-up-job.js";
import { moveReaders } from "./publish.js";

interface Completion {
  source: number;
  target: number;
  /** The copy's. */
  attr: Attr;
}

/** 0 or a positive errno. */
export async function completeMetacopy(core: CopyUpContext, job: CopyUpJob): Promise<number> {
  const { node } = job;
  const source = openData(core, node.data as DataLocation, O.RDONLY);
  if (source < 0) return -source;
  const target = openObject(core, node, O.RDWR);
  let status: number = Errno.EIO;
  try {
    status = target < 0 ? -target : await complete(core, job, { source, target, attr: new Attr() });
    if (status !== 0) return status;
    node.data = undefined;
    node.version++;
    moveReaders(core, node);
    return 0;
  } finally {
    closeFd(source);
    if (target >= 0 && (status !== 0 || !job.takes(target))) closeFd(target);
    core.copyUps++;
    core.events.copyUp({ path: job.path, bytes: job.copiedBytes, durationMs: performance.now() - job.startedMs, status });
  }
}

async function complete(core: CopyUpContext, job: CopyUpJob, copy: Completion): Promise<number> {
  const { target, attr } = copy;
  const status = -statFd(target, attr) || 0;
  if (status !== 0) return status;
  job.sizeBytes = job.truncate ? 0 : attr.size;
  // Writing takes the capabilities away.
  const capability = readCapability(target);
  const written = job.truncate
    ? -(job.truncates?.(target) ?? 0) || 0
    : (await copyContent(core, job, copy)) || writeCapability(target, capability);
  if (written !== 0) emptyAgain(target, attr, capability);
  if (written !== 0 || !job.truncate) restoreTimes(target, attr);
  if (written !== 0) return written;
  if (!core.config.volatile) {
    const synced = await syncIn(core.upper, target);
    if (synced < 0) return -synced;
  }
  if (!job.isAbandoned) return -clearMetacopy(core.marks, target) || 0;
  emptyAgain(target, attr, capability);
  restoreTimes(target, attr);
  return ABANDONED;
}

const CAPABILITY = "security.capability";
const value = Buffer.alloc(256);

function readCapability(fd: number): Buffer | undefined {
  const length = readXattr(fd, "", CAPABILITY, value);
  return length < 0 ? undefined : Buffer.from(value.subarray(0, length));
}

/** 0 or a positive errno. */
function writeCapability(fd: number, capability: Buffer | undefined): number {
  return capability === undefined ? 0 : -upkeep.setxattrat(fd, "", CAPABILITY, capability, 0) || 0;
}

/** It ended half-way: the room that was taken is given back, the size stays. */
function emptyAgain(fd: number, attr: Attr, capability: Buffer | undefined): void {
  upkeep.ftruncate(fd, 0);
  upkeep.ftruncate(fd, attr.sizeExact);
  writeCapability(fd, capability);
}

function restoreTimes(fd: number, attr: Attr): void {
  const times = { atimeSec: attr.atimeSec, atimeNsec: attr.atimeNsec, mtimeSec: attr.mtimeSec, mtimeNsec: attr.mtimeNsec };
  upkeep.utimensat(fd, "", times, AT.EMPTY_PATH);
}
