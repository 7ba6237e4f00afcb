/** Handlers of the operations on open files. */
import {
  decodeCopyFileRange,
  decodeFallocate,
  decodeFlush,
  decodeFsync,
  decodeIoctl,
  decodeLock,
  decodeLseek,
  decodeOpen,
  decodeRead,
  decodeRelease,
  decodeWrite,
  encodeIoctl,
  encodeLock,
  encodeOffset,
  encodeOpen,
  encodeSize,
} from "@sluice/fuse-protocol";
import { Errno, type Status } from "@sluice/vfs";
import { BODY, type Handler, type HandlerContext, noBody } from "./handler.js";
import type { Slot } from "../requests/slots.js";

/** fuse_ioctl_out */
const IOCTL_HEAD_BYTES = 16;

export function dataBody(slot: Slot): number {
  return slot.data.length;
}

/** Closes the handle of an open whose reply the kernel refused: no RELEASE will come for it. */
export function releaseUnused({ filesystem }: HandlerContext, slot: Slot, node: number): Status {
  const { release } = slot.args;
  release.handle = slot.open.handle;
  release.flags = slot.args.flags;
  release.flockRelease = false;
  release.ownerWords.fill(0);
  return filesystem.release(slot, node, release);
}

export const open: Handler = {
  once: true,
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeOpen(request, slot.args)) || filesystem.open(slot, slot.nodeId, slot.args.flags, slot.open),
  encode: (slot, words) => encodeOpen(words, BODY, slot.open),
  refused: (context, slot) => releaseUnused(context, slot, slot.nodeId),
};

export const read: Handler = {
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeRead(request, slot.args)) || filesystem.read(slot, slot.nodeId, slot.args.io, slot.data),
  encode: dataBody,
};

export const write: Handler = {
  once: true,
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeWrite(request, slot.args)) || filesystem.write(slot, slot.nodeId, slot.args.write, slot.count),
  encode: (slot, words) => encodeSize(words, BODY, slot.count.length),
  pinsRequest: true,
};

export const flush: Handler = {
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeFlush(request, slot.args)) || filesystem.flush(slot, slot.nodeId, slot.args.release),
  encode: noBody,
};

export const release: Handler = {
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeRelease(request, slot.args)) || filesystem.release(slot, slot.nodeId, slot.args.release),
  encode: noBody,
};

export const getlk: Handler = {
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeLock(request, slot.args, false)) || filesystem.getlk(slot, slot.nodeId, slot.args.lock),
  encode: (slot, words) => encodeLock(words, BODY, slot.args.lock),
};

function setlkHandler(wait: boolean): Handler {
  return {
    start: ({ filesystem }, slot, request) =>
      slot.check(decodeLock(request, slot.args, wait)) || filesystem.setlk(slot, slot.nodeId, slot.args.lock),
    encode: noBody,
  };
}
export const setlk = setlkHandler(false);
export const setlkw = setlkHandler(true);

export const fsync: Handler = {
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeFsync(request, slot.args)) || filesystem.fsync(slot, slot.nodeId, slot.args.fsync.handle, slot.args.fsync.dataOnly),
  encode: noBody,
};

export const fallocate: Handler = {
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeFallocate(request, slot.args)) || filesystem.fallocate(slot, slot.nodeId, slot.args.fallocate),
  encode: noBody,
};

export const lseek: Handler = {
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeLseek(request, slot.args), Errno.ENXIO) || filesystem.lseek(slot, slot.nodeId, slot.args.lseek, slot.sought),
  encode: (slot, words) => encodeOffset(words, BODY, slot.sought.offset),
};

const startCopy: Handler["start"] = ({ filesystem }, slot, request) =>
  slot.check(decodeCopyFileRange(request, slot.args)) || filesystem.copyFileRange(slot, slot.nodeId, slot.args.copy, slot.count);

/** The reply has 32 bits: the kernel requests no more at a time. */
export const copyFileRange: Handler = {
  start: startCopy,
  encode: (slot, words) => encodeSize(words, BODY, slot.count.length),
};

export const copyFileRange64: Handler = {
  start: startCopy,
  encode: (slot, words) => encodeOffset(words, BODY, slot.count.length),
};

export const ioctl: Handler = {
  start: ({ filesystem }, slot, request) => {
    const malformed = slot.check(decodeIoctl(request, slot.args));
    slot.data.headBytes = IOCTL_HEAD_BYTES;
    return malformed || filesystem.ioctl(slot, slot.nodeId, slot.args.ioctl, slot.data);
  },
  encode: (slot, words) => encodeIoctl(words, BODY) + slot.data.length,
  pinsRequest: true,
};
