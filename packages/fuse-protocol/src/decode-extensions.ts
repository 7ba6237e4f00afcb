/**
 * The extensions behind a creation's arguments: supplementary groups (fuse_supp_groups), and the labels that a security
 * module wants on the new object (fuse_secctx; none if no module has any). Extensions are not aligned: the name before
 * them is not padded.
 */
import { Errno } from "@sluice/vfs";
import type { Request } from "./request.js";
import type { RequestArgs } from "./request-args.js";

/** FUSE_MAX_NR_SECCTX: up to here an extension's type is the number of labels in it (fuse_secctx_header). */
const LABELS_MAX = 31;
const EXT_GROUPS = 32;
const HEADER_BYTES = 8;
/** More than the kernel sends (one), and few enough to be harmless. */
const GROUPS_MAX = 65536;

interface Frame {
  at: number;
  end: number;
}

/** Fills `args.groups` and `args.labels`: undefined if none were sent. EIO if an extension does not fit its frame. */
export function decodeExtensions(request: Request, args: RequestArgs): number {
  args.groups = undefined;
  args.labels = undefined;
  const { bytes } = request.buffer;
  let at = request.argsEnd;
  while (at < request.length) {
    if (request.length - at < HEADER_BYTES) return Errno.EIO;
    const size = bytes.readUInt32LE(at);
    if (size < HEADER_BYTES || size > request.length - at) return Errno.EIO;
    const status = take(request, args, bytes.readUInt32LE(at + 4), { at: at + HEADER_BYTES, end: at + size });
    if (status !== 0) return status;
    at += align(size);
  }
  return Errno.OK;
}

const align = (size: number): number => (size + 7) & ~7;

function take(request: Request, args: RequestArgs, type: number, frame: Frame): number {
  if (type === EXT_GROUPS) return takeGroups(request, args, frame);
  return type > 0 && type <= LABELS_MAX ? takeLabels(request, args, { frame, count: type }) : Errno.OK;
}

function takeGroups(request: Request, args: RequestArgs, frame: Frame): number {
  const { bytes } = request.buffer;
  if (frame.end - frame.at < 4) return Errno.EIO;
  const count = bytes.readUInt32LE(frame.at);
  if (count > GROUPS_MAX || frame.at + 4 + count * 4 > frame.end) return Errno.EIO;
  const groups: number[] = [];
  for (let i = 0; i < count; i++) groups.push(bytes.readUInt32LE(frame.at + 4 + i * 4));
  args.groups = groups;
  return Errno.OK;
}

/** Each: fuse_secctx (the value's size), the attribute's name with its NUL, the value, padding. Values are copied: they outlive the buffer. */
function takeLabels(request: Request, args: RequestArgs, { frame, count }: { frame: Frame; count: number }): number {
  const { bytes } = request.buffer;
  args.labels = [];
  let { at } = frame;
  for (let i = 0; i < count; i++) {
    if (frame.end - at < HEADER_BYTES) return Errno.EIO;
    const size = bytes.readUInt32LE(at);
    const nameAt = at + HEADER_BYTES;
    const nul = bytes.indexOf(0, nameAt);
    if (nul <= nameAt || nul >= frame.end || size > frame.end - nul - 1) return Errno.EIO;
    args.labels.push({ name: bytes.latin1Slice(nameAt, nul), value: Uint8Array.from(bytes.subarray(nul + 1, nul + 1 + size)) });
    at += align(nul + 1 + size - at);
  }
  return Errno.OK;
}
