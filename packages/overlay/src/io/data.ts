/** Reads and writes that the daemon does itself: without waiting where the page cache has the bytes, else on the pool. */
import {
  Attr,
  type CallContext,
  type DataOut,
  Errno,
  type FileHandle,
  type IoArgs,
  O,
  RWF,
  S,
  type Status,
  type WriteArgs,
} from "@sluice/vfs";
import type { Core } from "../core.js";
import { statFd, sys } from "../layer/host-layer.js";
import type { OpenFile } from "./handle-table.js";

const attr = new Attr();

export function readData(core: Core, args: IoArgs, out: DataOut): Status {
  const file = core.handles.file(args.handle);
  if (file === undefined) return Errno.EBADF;
  const bytes = out.reserve(args.size);
  const range = { offset: 0, length: args.size, position: args.offset };
  const read = sys.pread(file.fd, bytes, range, RWF.NOWAIT);
  if (read === args.size || (read >= 0 && endsAt(file, args, read))) return finishRead(core, out, read);
  const have = Math.max(read, 0);
  return readRest(core, { file, args, bytes, have }, out);
}

/** A short answer means end of file to the kernel, so a read that only ran out of cached pages has to go on. */
function endsAt(file: OpenFile, args: IoArgs, read: number): boolean {
  return statFd(file.fd, attr) === 0 && BigInt(args.offset) + BigInt(read) >= attr.sizeExact;
}

interface PartialRead {
  file: OpenFile;
  args: IoArgs;
  bytes: Uint8Array;
  have: number;
}

async function readRest(core: Core, part: PartialRead, out: DataOut): Promise<number> {
  const { args } = part;
  let have = part.have;
  while (have < args.size) {
    const position = BigInt(args.offset) + BigInt(have);
    const read = await sys.preadAsync(part.file.fd, part.bytes, { offset: have, length: args.size - have, position: plain(position) }, 0);
    if (read < 0) return have > 0 ? finishRead(core, out, have) : -read;
    if (read === 0) break;
    have += read;
  }
  return finishRead(core, out, have);
}

function finishRead(core: Core, out: DataOut, length: number): number {
  out.length = length;
  core.events.mediated("read", length);
  return 0;
}

export function writeData(core: Core, call: CallContext, args: WriteArgs, out: { length: number }): Status {
  const file = core.handles.file(args.handle);
  if (file === undefined) return Errno.EBADF;
  if (!file.write) return Errno.EBADF;
  if (args.killSuidgid) clearSuid(file.fd, call);
  return writeRest(core, { file, args, flags: flagsOf(args.flags) }, out);
}

/** O_APPEND is asked of the host again: its idea of the end is the right one, also beside passthrough writers. */
function flagsOf(flags: number): number {
  let rwf = 0;
  if ((flags & O.APPEND) !== 0) rwf |= RWF.APPEND;
  if ((flags & O.SYNC) === O.SYNC) rwf |= RWF.SYNC;
  else if ((flags & O.DSYNC) !== 0) rwf |= RWF.DSYNC;
  return rwf;
}

async function writeRest(core: Core, part: { file: OpenFile; args: WriteArgs; flags: number }, out: { length: number }): Promise<number> {
  const { args, file } = part;
  let done = 0;
  while (done < args.size) {
    const position = plain(BigInt(args.offset) + BigInt(done));
    const written = await sys.pwriteAsync(file.fd, args.data, { offset: done, length: args.size - done, position }, part.flags);
    if (written < 0 && done === 0) return -written;
    if (written <= 0) break;
    done += written;
  }
  out.length = done;
  core.events.mediated("write", done);
  return 0;
}

function plain(offset: bigint): number | bigint {
  return offset <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(offset) : offset;
}

/**
 * A write by somebody without CAP_FSETID takes suid, and sgid where the group may execute or the caller is not in the group
 * (fs/attr.c setattr_should_drop_sgid); the daemon has CAP_FSETID, so the host would leave both. Only the caller's first
 * group is known here: who is in the file's group by a supplementary one loses sgid too, which is the safe side.
 */
export function clearSuid(fd: number, call: CallContext): void {
  if (statFd(fd, attr) < 0) return;
  const mode = attr.mode;
  let kept = mode & ~S.ISUID;
  if ((mode & S.ISGID) !== 0 && ((mode & S.IXGRP) !== 0 || call.gid !== attr.gid)) kept &= ~S.ISGID;
  if (kept !== mode) sys.fchmodat(fd, "", kept & 0o7777, 0x1000);
}

/** fsync(2) of an open file. */
export function syncFile(core: Core, handle: FileHandle, dataOnly: boolean): Status {
  const file = core.handles.file(handle);
  if (file === undefined) return Errno.EBADF;
  if (core.config.volatile) return 0;
  return sys.fsyncAsync(file.fd, dataOnly).then((status) => -status);
}
