/** Reads and writes that the daemon does itself: at once if the page cache has the bytes, else on the thread pool. */
import {
  AT,
  Attr,
  type CallContext,
  type DataOut,
  Errno,
  type FileHandle,
  type FileOffset,
  type IoArgs,
  O,
  RWF,
  S,
  type Status,
  type WriteArgs,
} from "@sluice/vfs";
import type { IoContext } from "./io-context.js";
import { isInGroup } from "../layer/caller-process.js";
import { permitOf } from "../gate/govern.js";
import { syncIn } from "../layer/host-layer.js";
import { effects, statFd, sys } from "../layer/system-calls.js";
import type { Permit } from "../layer/permit.js";
import { appendBegun, appendInTurn, noteAppend } from "./append-once.js";
import { currentFd } from "./current-fd.js";
import type { OpenFile } from "../handles/handle-table.js";
import { pagesDropped } from "./cached-pages.js";
import { APPEND_ONLY } from "../node/protection.js";
import { dropOtherPages } from "./other-pages.js";
import { transfer } from "./watched-io.js";

const attr = new Attr();

export function readData(core: IoContext, call: CallContext, args: IoArgs, out: DataOut): Status {
  const file = core.handles.file(args.handle);
  if (file === undefined) return Errno.EBADF;
  const bytes = out.reserve(args.size);
  if (file.watch !== undefined) return readWatched(core, call, { file, args, bytes }, out);
  if (file.pagesFrom !== undefined) pagesDropped(file);
  const range = { offset: 0, length: args.size, position: args.offset };
  const fd = currentFd(core, file);
  const read = sys.pread(fd, bytes, range, neverWaits(file) ? 0 : RWF.NOWAIT);
  if (read === args.size || (read >= 0 && endsAt(file, args, read))) return finishRead(core, out, read);
  const have = Math.max(read, 0);
  return readRest(core, { file, args, bytes, have }, out);
}

/** A tmpfs does not know RWF_NOWAIT, and has nothing to wait for except a page that was swapped out. */
function neverWaits(file: OpenFile): boolean {
  return file.layer?.inMemory === true;
}

/** The kernel takes a short answer for the end of the file, so a read that only ran out of cached pages has to go on. */
function endsAt(file: OpenFile, args: IoArgs, read: number): boolean {
  return statFd(file.fd, attr) === 0 && BigInt(args.offset) + BigInt(read) >= attr.sizeExact;
}

interface PartialRead {
  file: OpenFile;
  args: IoArgs;
  bytes: Uint8Array;
  have: number;
}

async function readRest(core: IoContext, part: PartialRead, out: DataOut): Promise<number> {
  const read = await readUpTo(part, part.args.size);
  if (part.file.withheld !== 0) return part.file.withheld;
  return read < 0 ? -read : finishRead(core, out, read);
}

/** Reads on until there are `length` bytes. Returns the number of bytes, or the negative errno if there are none. */
async function readUpTo(part: PartialRead, length: number): Promise<number> {
  let have = part.have;
  while (have < length) {
    const position = plain(BigInt(part.args.offset) + BigInt(have));
    const read = await sys.preadAsync(part.file.fd, part.bytes, { offset: have, length: length - have, position }, 0);
    if (read < 0) return have > 0 ? have : read;
    if (read === 0) break;
    have += read;
  }
  return have;
}

interface WatchedRead {
  file: OpenFile;
  args: IoArgs;
  bytes: Uint8Array;
}

async function readWatched(core: IoContext, call: CallContext, what: WatchedRead, out: DataOut): Promise<number> {
  const { file, args, bytes } = what;
  currentFd(core, file);
  const { offset, size, flags } = args;
  const act = (length: number): Promise<number> => readUpTo({ file, args, bytes, have: 0 }, length);
  const read = await transfer(file, call, { kind: "read", offset, length: size, flags, act, fills: true });
  if (file.withheld !== 0) return file.withheld;
  return read < 0 ? -read : finishRead(core, out, read);
}

function finishRead(core: IoContext, out: DataOut, length: number): number {
  out.length = length;
  core.events.mediated("read", length);
  return 0;
}

export function writeData(core: IoContext, call: CallContext, args: WriteArgs, out: { length: number }): Status {
  const file = writerOf(core, args);
  if (file === undefined) return Errno.EBADF;
  if (!file.write) return Errno.EBADF;
  if (file.pagesFrom !== undefined) pagesDropped(file);
  if (file.watch === undefined && args.size <= INLINE_WRITE_BYTES && neverWaits(file)) return writeAtOnce(core, call, { file, args }, out);
  return writeRest(core, call, { file, args, flags: flagsOf(args.flags) }, out);
}

/**
 * The open that makes a write. For a page that is written back the kernel names any open that may write
 * (fs/fuse/file.c fuse_write_file_get). If that one is withheld, a store by another open must not be lost with it.
 */
function writerOf(core: IoContext, { handle, fromPage }: WriteArgs): OpenFile | undefined {
  const named = core.handles.file(handle);
  if (named === undefined || named.withheld === 0 || !fromPage) return named;
  for (const file of named.io.handles) if (file.write && file.withheld === 0) return core.handles.file(file.handle);
  return named;
}

/** Copying more bytes holds the event loop up for longer than a round trip to the thread pool takes. */
const INLINE_WRITE_BYTES = 262_144;

function writeAtOnce(
  core: IoContext,
  call: CallContext,
  { file, args }: { file: OpenFile; args: WriteArgs },
  out: { length: number },
): Status {
  const cleared = clearSuidIf(args.killSuidgid, permitOf(file), file.fd, call);
  if (cleared < 0) {
    const appended = writeUncleared(cleared, call, { file, args, flags: flagsOf(args.flags) }, args.size);
    return appended < 0 ? -appended : finishWrite(core, file, { offset: args.offset, length: appended }, out);
  }
  const begun = appendBegun(core, call, { fd: file.fd, args });
  const range = { offset: 0, length: args.size, position: begun ?? args.offset };
  const flags = flagsOf(args.flags);
  if (begun === undefined) noteAppend(core, call, { fd: file.fd, flags: args.flags });
  const written = effects(permitOf(file)).pwrite(file.fd, args.data, range, begun === undefined ? flags : flags & ~RWF.APPEND);
  return written < 0 ? -written : finishWrite(core, file, { offset: args.offset, length: written }, out);
}

function finishWrite(core: IoContext, file: OpenFile, range: { offset: FileOffset; length: number }, out: { length: number }): number {
  out.length = range.length;
  core.events.mediated("write", range.length);
  if (file.mode !== "cached") file.io.pagesOf = undefined;
  dropOtherPages(core, file, range);
  return 0;
}

/** O_APPEND is left to the host: it knows the end of the file, also beside passthrough writers. */
function flagsOf(flags: number): number {
  let rwf = 0;
  if ((flags & O.APPEND) !== 0) rwf |= RWF.APPEND;
  if ((flags & O.SYNC) === O.SYNC) rwf |= RWF.SYNC;
  else if ((flags & O.DSYNC) !== 0) rwf |= RWF.DSYNC;
  return rwf;
}

interface WholeWrite {
  file: OpenFile;
  args: WriteArgs;
  flags: number;
}

async function writeRest(core: IoContext, call: CallContext, whole: WholeWrite, out: { length: number }): Promise<number> {
  const { args, file } = whole;
  const { size } = args;
  const begun = appendBegun(core, call, { fd: file.fd, args });
  const again = { ...args, offset: begun ?? args.offset, flags: args.flags & ~O.APPEND };
  const where: WholeWrite = begun === undefined ? whole : { file, args: again, flags: whole.flags & ~RWF.APPEND };
  const { offset, flags } = where.args;
  const act = (length: number): Promise<number> => {
    const cleared = clearSuidIf(args.killSuidgid, permitOf(file), file.fd, call);
    if (cleared < 0) return Promise.resolve(writeUncleared(cleared, call, whole, length));
    const write = (): Promise<number> => writeUpTo(where, length);
    return (where.flags & RWF.APPEND) === 0 ? write() : appendInTurn(core, call, file, write);
  };
  const done = file.watch === undefined ? await act(size) : await transfer(file, call, { kind: "write", offset, length: size, flags, act });
  return done < 0 ? -done : finishWrite(core, file, { offset: args.offset, length: done }, out);
}

/**
 * The mode of an append-only file cannot be changed, but the host takes its bits away if a caller without CAP_FSETID appends to it. So the
 * thread that has the caller's credentials writes. Gives the number of bytes or a negative errno, `cleared` for any other file.
 */
function writeUncleared(cleared: number, call: CallContext, { file, args, flags }: WholeWrite, length: number): number {
  const has = cleared === -Errno.EPERM && call.uid !== 0 ? sys.getFlags(file.fd) : 0;
  if (has < 0 || (has & APPEND_ONLY) === 0) return cleared;
  const status = sys.asCaller(call.uid, call.gid, 0, call.groups);
  if (status < 0) return cleared;
  try {
    return effects(permitOf(file)).pwrite(file.fd, args.data, { offset: 0, length, position: args.offset }, flags | RWF.APPEND);
  } finally {
    sys.asDaemon();
  }
}

async function writeUpTo({ file, args, flags }: WholeWrite, length: number): Promise<number> {
  let done = 0;
  while (done < length) {
    const position = plain(BigInt(args.offset) + BigInt(done));
    const written = await effects(permitOf(file)).pwriteAsync(file.fd, args.data, { offset: done, length: length - done, position }, flags);
    if (written < 0 && done === 0) return written;
    if (written <= 0) break;
    done += written;
  }
  return done;
}

function plain(offset: bigint): number | bigint {
  return offset <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(offset) : offset;
}

/**
 * A write by a caller without CAP_FSETID clears suid; and sgid, if the group may execute or the caller is not in the group
 * (fs/attr.c setattr_should_drop_sgid). The daemon has CAP_FSETID, so the host would leave both. If /proc does not show the
 * caller, its supplementary groups do not count, which is the safe side. Returns 0 or the negative errno: then the caller must not
 * change the file, which would run with another one's rights.
 */
export function clearSuid(permit: Permit, fd: number, call: CallContext): number {
  const status = statFd(fd, attr);
  if (status < 0) return status;
  const mode = attr.mode;
  let cleared = mode & ~S.ISUID;
  if ((mode & S.ISGID) !== 0 && ((mode & S.IXGRP) !== 0 || !isInGroup(call, attr.gid))) cleared &= ~S.ISGID;
  return cleared === mode ? 0 : effects(permit).fchmodat(fd, "", cleared & 0o7777, AT.EMPTY_PATH);
}

/** `kills`: the kernel says with the change that the caller lacks CAP_FSETID. */
export function clearSuidIf(kills: boolean | undefined, permit: Permit, fd: number, call: CallContext): number {
  return kills === true ? clearSuid(permit, fd, call) : 0;
}

/** 0 or the negative errno, and then the file has its data. */
export function emptyFile(permit: Permit, fd: number, { call, kills }: { call: CallContext; kills: boolean | undefined }): number {
  const cleared = clearSuidIf(kills, permit, fd, call);
  return cleared < 0 ? cleared : effects(permit).ftruncate(fd, 0);
}

/** fsync(2) of an open file. */
export function syncFile(core: IoContext, handle: FileHandle, dataOnly: boolean): Status {
  const file = core.handles.file(handle);
  if (file === undefined) return Errno.EBADF;
  if (core.config.volatile) return syncVolatile(core);
  const fd = currentFd(core, file);
  const synced = syncIn(file.layer, fd, dataOnly);
  return typeof synced === "number" ? -synced : synced.then((status) => -status);
}

/**
 * The sync of a volatile mount. It writes nothing. Once a write has failed, every sync fails for good, as
 * the mount does not hold what was written (fs/overlayfs/super.c ovl_sync_status).
 */
export function syncVolatile(core: IoContext): Status {
  const witness = core.config.errorWitness;
  return witness === undefined ? 0 : sys.fsyncAsync(witness, false).then((status) => -status || 0);
}
