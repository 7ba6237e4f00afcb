/**
 * Works on files while the mount's daemon is stopped. It makes only calls on the granted files that the kernel serves by
 * itself: no open, no stat, no close. Those wait until the daemon runs again.
 */
import { constants, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { FILES, MIB } from "../demo-paths.js";
import type { BlockedOutput, FrozenOutput, TaskContext, ViewInput } from "./task-table.js";

const READ_BYTES = FILES.large.sizeBytes;
const WRITTEN_BYTES = 64 * MIB;

/** Descriptors are left open: the process ends after its answer, when the daemon runs again. */
export async function readFrozen({ mountPoint }: ViewInput, context: TaskContext): Promise<FrozenOutput> {
  const source = openSync(join(mountPoint, FILES.large.path), constants.O_RDONLY);
  const target = openSync(join(mountPoint, "written-while-stopped.bin"), constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC);
  const buffer = Buffer.allocUnsafe(4 * MIB);
  // The kernel asks once, at the first write, whether the file carries capabilities.
  writeSync(target, buffer, 0, 4096, 0);
  await context.meet();
  const start = performance.now();
  let readBytes = 0;
  while (readBytes < READ_BYTES) {
    const count = readSync(source, buffer, 0, buffer.length, readBytes);
    if (count === 0) throw new Error(`${FILES.large.path}: ended after ${readBytes} bytes`);
    readBytes += count;
  }
  const readSeconds = (performance.now() - start) / 1000;
  let writtenBytes = 0;
  while (writtenBytes < WRITTEN_BYTES) writtenBytes += writeSync(target, buffer, 0, buffer.length, writtenBytes);
  return { readBytes, readSeconds, writtenBytes };
}

/** The same on a mediated file must wait for the daemon. */
export async function readBlocked({ mountPoint }: ViewInput, context: TaskContext): Promise<BlockedOutput> {
  const fd = openSync(join(mountPoint, FILES.meteredUnread.path), constants.O_RDONLY);
  await context.meet();
  return { readBytes: readSync(fd, Buffer.allocUnsafe(4096), 0, 4096, 4 * MIB) };
}
