/** Decoders of GETATTR, STATX, SETATTR and the extended attribute requests. All return 0 or an errno. */
import { Errno, UTIME } from "@sluice/vfs";
import type { Request } from "./request.js";
import type { RequestArgs, SetAttrArgs } from "./request-args.js";
import { Fattr, RequestFlag } from "./message-flags.js";
import { BAD_ID, IN_HEADER_BYTES, IN_HEADER_WORDS as BODY, readId, readOffset } from "./wire.js";

const NSEC_PER_SEC = 1_000_000_000;
const HI = 0x1_0000_0000;

/** GETATTR (fuse_getattr_in) and the start of STATX (fuse_statx_in): `args.handle` if one was sent. */
export function decodeGetattr(request: Request, args: RequestArgs): number {
  if (request.need(16) !== 0) return Errno.EIO;
  const given = ((request.words[BODY] as number) & RequestFlag.GETATTR_FH) !== 0;
  args.handle = given ? readId(request.words, BODY + 2) : undefined;
  return args.handle === BAD_ID ? Errno.EBADF : Errno.OK;
}

export function decodeStatx(request: Request, args: RequestArgs): number {
  return request.need(24) || decodeGetattr(request, args);
}

/** SETATTR (fuse_setattr_in): each field is set or undefined. */
export function decodeSetattr(request: Request, args: RequestArgs): number {
  if (request.need(88) !== 0) return Errno.EIO;
  const { words } = request;
  const set = args.setattr;
  const valid = words[BODY] as number;
  set.mode = valid & Fattr.MODE ? words[BODY + 17] : undefined;
  set.uid = valid & Fattr.UID ? words[BODY + 19] : undefined;
  set.gid = valid & Fattr.GID ? words[BODY + 20] : undefined;
  set.size = valid & Fattr.SIZE ? readOffset(words, BODY + 4) : undefined;
  set.handle = valid & Fattr.FH ? readId(words, BODY + 2) : undefined;
  set.killSuidgid = (valid & Fattr.KILL_SUIDGID) !== 0;
  if (set.handle === BAD_ID) return Errno.EBADF;
  if (set.size !== undefined && set.size < 0) return Errno.EINVAL;
  return decodeTimes(words, valid, set);
}

function decodeTimes(words: Uint32Array, valid: number, set: SetAttrArgs): number {
  set.atime = valid & (Fattr.ATIME | Fattr.ATIME_NOW) ? set.ownAtime : undefined;
  set.mtime = valid & (Fattr.MTIME | Fattr.MTIME_NOW) ? set.ownMtime : undefined;
  const atime = fillTime(set.atime, words, { secAt: BODY + 8, nsecAt: BODY + 14, now: (valid & Fattr.ATIME_NOW) !== 0 });
  const mtime = fillTime(set.mtime, words, { secAt: BODY + 10, nsecAt: BODY + 15, now: (valid & Fattr.MTIME_NOW) !== 0 });
  return atime || mtime;
}

function fillTime(
  time: { sec: number; nsec: number } | undefined,
  words: Uint32Array,
  from: { secAt: number; nsecAt: number; now: boolean },
): number {
  if (time === undefined) return Errno.OK;
  time.sec = ((words[from.secAt + 1] as number) | 0) * HI + (words[from.secAt] as number);
  time.nsec = from.now ? UTIME.NOW : (words[from.nsecAt] as number);
  return from.now || time.nsec < NSEC_PER_SEC ? Errno.OK : Errno.EINVAL;
}

/** GETXATTR: fuse_getxattr_in, name. LISTXATTR: the same without a name. */
export function decodeGetxattr(request: Request, args: RequestArgs): number {
  if (request.need(8) !== 0) return Errno.EIO;
  args.getxattr.size = request.words[BODY] as number;
  const status = request.takeAttributeName(8);
  args.getxattr.name = request.text;
  return status;
}

export function decodeListxattr(request: Request, args: RequestArgs): number {
  args.size = request.words[BODY] as number;
  return request.need(8);
}

export function decodeRemovexattr(request: Request, args: RequestArgs): number {
  const status = request.takeAttributeName(0);
  args.at.name = request.text;
  return status;
}

/** SETXATTR: fuse_setxattr_in (8 bytes, 16 with SETXATTR_EXT), name, value. The value stays in the request's buffer. */
export function decodeSetxattr(request: Request, args: RequestArgs, extended: boolean): number {
  const headBytes = extended ? 16 : 8;
  if (request.need(headBytes) !== 0) return Errno.EIO;
  const set = args.setxattr;
  const size = request.words[BODY] as number;
  set.flags = request.words[BODY + 1] as number;
  set.killSgid = extended && ((request.words[BODY + 2] as number) & RequestFlag.SETXATTR_ACL_KILL_SGID) !== 0;
  const status = request.takeAttributeName(headBytes);
  if (status !== 0) return status;
  set.name = request.text;
  if (request.need(request.next + size) !== 0) return Errno.EIO;
  const start = IN_HEADER_BYTES + request.next;
  set.value = request.buffer.bytes.subarray(start, start + size);
  return Errno.OK;
}
