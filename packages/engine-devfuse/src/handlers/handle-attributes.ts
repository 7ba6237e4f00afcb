/** Handlers of the operations on attributes, extended attributes and link targets, and on the file system as a whole. */
import {
  decodeGetattr,
  decodeGetxattr,
  decodeListxattr,
  decodeRemovexattr,
  decodeSetattr,
  decodeSetxattr,
  decodeStatx,
  encodeAttr,
  encodeSize,
  encodeStatfs,
  encodeStatx,
} from "@sluice/fuse-protocol";
import { Errno } from "@sluice/vfs";
import { BODY, type Handler, noBody } from "./handler.js";
import { dataBody } from "./handle-files.js";
import type { Slot } from "../requests/slots.js";

/** A user can make an attribute name too long. */
const TOO_LONG = Errno.ERANGE;

/** The value, or its size if the caller asked for that with size 0 (then nothing was reserved). */
function sizeOrData(slot: Slot, words: Uint32Array, askedBytes: number): number {
  return askedBytes === 0 ? encodeSize(words, BODY, slot.data.length) : slot.data.length;
}

export const getattr: Handler = {
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeGetattr(request, slot.args)) || filesystem.getattr(slot, slot.nodeId, slot.args.handle, slot.attr),
  encode: (slot, words) => encodeAttr(words, BODY, slot.attr),
};

export const statx: Handler = {
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeStatx(request, slot.args)) || filesystem.getattr(slot, slot.nodeId, slot.args.handle, slot.attr),
  encode: (slot, words) => encodeStatx(words, BODY, slot.attr),
};

export const setattr: Handler = {
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeSetattr(request, slot.args)) || filesystem.setattr(slot, slot.nodeId, slot.args.setattr, slot.attr),
  encode: (slot, words) => encodeAttr(words, BODY, slot.attr),
};

export const readlink: Handler = {
  start: ({ filesystem }, slot) => filesystem.readlink(slot, slot.nodeId, slot.data),
  encode: dataBody,
};

export const getxattr: Handler = {
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeGetxattr(request, slot.args), TOO_LONG) || filesystem.getxattr(slot, slot.nodeId, slot.args.getxattr, slot.data),
  encode: (slot, words) => sizeOrData(slot, words, slot.args.getxattr.size),
};

export const listxattr: Handler = {
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeListxattr(request, slot.args)) || filesystem.listxattr(slot, slot.nodeId, slot.args.size, slot.data),
  encode: (slot, words) => sizeOrData(slot, words, slot.args.size),
};

export const setxattr: Handler = {
  once: true,
  start: ({ filesystem, setxattrExtended }, slot, request) =>
    slot.check(decodeSetxattr(request, slot.args, setxattrExtended), TOO_LONG) ||
    filesystem.setxattr(slot, slot.nodeId, slot.args.setxattr),
  encode: noBody,
  pinsRequest: true,
};

export const removexattr: Handler = {
  once: true,
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeRemovexattr(request, slot.args), TOO_LONG) || filesystem.removexattr(slot, slot.nodeId, slot.args.at.name),
  encode: noBody,
};

export const statfs: Handler = {
  start: ({ filesystem }, slot) => filesystem.statfs(slot, slot.nodeId, slot.statfs),
  encode: (slot, words) => encodeStatfs(words, BODY, slot.statfs),
};

export const syncfs: Handler = {
  start: ({ filesystem }, slot) => filesystem.syncfs(slot, slot.nodeId),
  encode: noBody,
};
