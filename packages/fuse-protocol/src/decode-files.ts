/** Decoders of the requests on open files and directories. All return 0 or an errno. */
import { Errno } from "@sluice/vfs";
import type { Request } from "./request.js";
import type { RequestArgs } from "./request-args.js";
import { RequestFlag } from "./message-flags.js";
import { BAD_ID, IN_HEADER_BYTES, IN_HEADER_WORDS as BODY, readId, readOffset, readU64, WRITE_DATA_OFFSET } from "./wire.js";

/** OPEN and OPENDIR: fuse_open_in. */
export function decodeOpen(request: Request, args: RequestArgs): number {
  args.flags = request.words[BODY] as number;
  args.killSuidgid = ((request.words[BODY + 1] as number) & RequestFlag.OPEN_KILL_SUIDGID) !== 0;
  return request.need(8);
}

/** READ: fuse_read_in. */
export function decodeRead(request: Request, args: RequestArgs): number {
  if (request.need(40) !== 0) return Errno.EIO;
  const { io } = args;
  io.handle = readId(request.words, BODY);
  io.offset = readOffset(request.words, BODY + 2);
  io.size = request.words[BODY + 4] as number;
  io.flags = request.words[BODY + 8] as number;
  return checkRange(io.handle, io.offset);
}

/** READDIR and READDIRPLUS: fuse_read_in; `args.size` is the room for the answer. */
export function decodeReaddir(request: Request, args: RequestArgs, plus: boolean): number {
  if (request.need(40) !== 0) return Errno.EIO;
  const { readdir } = args;
  readdir.handle = readId(request.words, BODY);
  readdir.offset = readOffset(request.words, BODY + 2);
  readdir.plus = plus;
  args.size = request.words[BODY + 4] as number;
  return checkRange(readdir.handle, readdir.offset);
}

/** WRITE: fuse_write_in, data. The data stay in the request's buffer. */
export function decodeWrite(request: Request, args: RequestArgs): number {
  if (request.need(40) !== 0) return Errno.EIO;
  const { words } = request;
  const { write } = args;
  const flags = words[BODY + 5] as number;
  write.handle = readId(words, BODY);
  write.offset = readOffset(words, BODY + 2);
  write.size = words[BODY + 4] as number;
  write.flags = words[BODY + 8] as number;
  write.killSuidgid = (flags & RequestFlag.WRITE_KILL_SUIDGID) !== 0;
  write.fromPage = (flags & RequestFlag.WRITE_CACHE) !== 0;
  write.lockOwner = flags & RequestFlag.WRITE_LOCKOWNER ? readU64(words, BODY + 6) : 0n;
  if (request.need(40 + write.size) !== 0) return Errno.EIO;
  write.data = request.buffer.view(WRITE_DATA_OFFSET, write.size);
  return checkRange(write.handle, write.offset);
}

/** RELEASE and RELEASEDIR: fuse_release_in. */
export function decodeRelease(request: Request, args: RequestArgs): number {
  if (request.need(24) !== 0) return Errno.EIO;
  const { release } = args;
  release.handle = readId(request.words, BODY);
  release.flags = request.words[BODY + 2] as number;
  release.flockRelease = ((request.words[BODY + 3] as number) & RequestFlag.RELEASE_FLOCK_UNLOCK) !== 0;
  release.ownerWords[0] = request.words[BODY + 4] as number;
  release.ownerWords[1] = request.words[BODY + 5] as number;
  return checkHandle(release.handle);
}

/** FLUSH: fuse_flush_in; its flags are always 0. */
export function decodeFlush(request: Request, args: RequestArgs): number {
  const status = decodeRelease(request, args);
  args.release.flags = 0;
  args.release.flockRelease = false;
  return status;
}

/** FSYNC and FSYNCDIR: fuse_fsync_in. */
export function decodeFsync(request: Request, args: RequestArgs): number {
  if (request.need(16) !== 0) return Errno.EIO;
  args.fsync.handle = readId(request.words, BODY);
  args.fsync.dataOnly = ((request.words[BODY + 2] as number) & RequestFlag.FSYNC_FDATASYNC) !== 0;
  return checkHandle(args.fsync.handle);
}

/** FALLOCATE: fuse_fallocate_in. */
export function decodeFallocate(request: Request, args: RequestArgs): number {
  if (request.need(32) !== 0) return Errno.EIO;
  const { fallocate } = args;
  fallocate.handle = readId(request.words, BODY);
  fallocate.offset = readOffset(request.words, BODY + 2);
  fallocate.length = readOffset(request.words, BODY + 4);
  fallocate.mode = request.words[BODY + 6] as number;
  return checkRange(fallocate.handle, fallocate.offset) || (fallocate.length <= 0 ? Errno.EINVAL : Errno.OK);
}

/** LSEEK: fuse_lseek_in. ENXIO for an offset before the file's start, as lseek(2) returns for SEEK_DATA. */
export function decodeLseek(request: Request, args: RequestArgs): number {
  if (request.need(24) !== 0) return Errno.EIO;
  const { lseek } = args;
  lseek.handle = readId(request.words, BODY);
  lseek.offset = readOffset(request.words, BODY + 2);
  lseek.whence = request.words[BODY + 4] as number;
  return checkHandle(lseek.handle) || (lseek.offset < 0 ? Errno.ENXIO : Errno.OK);
}

/** COPY_FILE_RANGE and COPY_FILE_RANGE_64: fuse_copy_file_range_in. */
export function decodeCopyFileRange(request: Request, args: RequestArgs): number {
  if (request.need(56) !== 0) return Errno.EIO;
  const { words } = request;
  const { copy } = args;
  copy.handleIn = readId(words, BODY);
  copy.offsetIn = readOffset(words, BODY + 2);
  copy.nodeOut = readId(words, BODY + 4);
  copy.handleOut = readId(words, BODY + 6);
  copy.offsetOut = readOffset(words, BODY + 8);
  copy.length = readOffset(words, BODY + 10);
  copy.flags = words[BODY + 12] as number;
  if (copy.nodeOut === BAD_ID || copy.length < 0) return Errno.EINVAL;
  return checkRange(copy.handleIn, copy.offsetIn) || checkRange(copy.handleOut, copy.offsetOut);
}

/** GETLK, SETLK and SETLKW: fuse_lk_in. */
export function decodeLock(request: Request, args: RequestArgs, wait: boolean): number {
  if (request.need(48) !== 0) return Errno.EIO;
  const { words } = request;
  const { lock } = args;
  lock.handle = readId(words, BODY);
  lock.owner = readU64(words, BODY + 2);
  lock.start = readU64(words, BODY + 4);
  lock.end = readU64(words, BODY + 6);
  lock.type = words[BODY + 8] as number;
  lock.pid = words[BODY + 9] as number;
  lock.flock = ((words[BODY + 10] as number) & RequestFlag.LK_FLOCK) !== 0;
  lock.wait = wait;
  return checkHandle(lock.handle);
}

/** IOCTL: fuse_ioctl_in, input. Only restricted ones arrive (unrestricted ones belong to CUSE): the command defines the sizes. */
export function decodeIoctl(request: Request, args: RequestArgs): number {
  if (request.need(32) !== 0) return Errno.EIO;
  const { words } = request;
  const inputBytes = words[BODY + 6] as number;
  args.ioctl.handle = readId(words, BODY);
  args.ioctl.command = words[BODY + 3] as number;
  args.size = words[BODY + 7] as number;
  if (request.need(32 + inputBytes) !== 0) return Errno.EIO;
  const start = IN_HEADER_BYTES + 32;
  args.ioctl.input = request.buffer.bytes.subarray(start, start + inputBytes);
  return checkHandle(args.ioctl.handle);
}

function checkHandle(handle: number): number {
  return handle === BAD_ID ? Errno.EBADF : Errno.OK;
}

function checkRange(handle: number, offset: number | bigint): number {
  if (offset < 0) return Errno.EINVAL;
  return checkHandle(handle);
}
