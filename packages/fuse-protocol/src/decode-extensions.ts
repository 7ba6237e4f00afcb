/**
 * The extensions behind a creation's arguments: supplementary groups (fuse_supp_groups), and security contexts, which
 * are stepped over, since SECURITY_CTX is never asked for. Extensions are not aligned: the name before them is not padded.
 */
import { Errno } from "@sluice/vfs";
import type { Request } from "./request.js";
import type { RequestArgs } from "./request-args.js";

const EXT_GROUPS = 32;
const HEADER_BYTES = 8;
/** More than the kernel sends (one), less than would hurt. */
const GROUPS_MAX = 65536;

/** Fills `args.groups`: undefined where none were sent. EIO where an extension does not fit its frame. */
export function decodeGroups(request: Request, args: RequestArgs): number {
  args.groups = undefined;
  const { bytes } = request.buffer;
  let at = request.argsEnd;
  while (at < request.length) {
    if (request.length - at < HEADER_BYTES) return Errno.EIO;
    const size = bytes.readUInt32LE(at);
    if (size < HEADER_BYTES || size > request.length - at) return Errno.EIO;
    if (bytes.readUInt32LE(at + 4) === EXT_GROUPS) {
      const status = takeGroups(request, args, { at: at + HEADER_BYTES, end: at + size });
      if (status !== 0) return status;
    }
    at += (size + 7) & ~7;
  }
  return Errno.OK;
}

function takeGroups(request: Request, args: RequestArgs, frame: { at: number; end: number }): number {
  const { bytes } = request.buffer;
  if (frame.end - frame.at < 4) return Errno.EIO;
  const count = bytes.readUInt32LE(frame.at);
  if (count > GROUPS_MAX || frame.at + 4 + count * 4 > frame.end) return Errno.EIO;
  const groups: number[] = [];
  for (let i = 0; i < count; i++) groups.push(bytes.readUInt32LE(frame.at + 4 + i * 4));
  args.groups = groups;
  return Errno.OK;
}
