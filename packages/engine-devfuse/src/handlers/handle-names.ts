/** Handlers of the operations on names: lookup, creations, removals, rename, link. */
import {
  decodeCreate,
  decodeLink,
  decodeMkdir,
  decodeMknod,
  decodeLookup,
  decodeName,
  decodeRename,
  decodeRename2,
  decodeSymlink,
  decodeTmpfile,
  encodeEntry,
  encodeOpen,
  ENTRY_OUT_BYTES,
} from "@sluice/fuse-protocol";
import { Errno, type Status } from "@sluice/vfs";
import { BODY, type Handler, type HandlerContext, noBody } from "./handler.js";
import { releaseUnused } from "./handle-files.js";
import type { Slot } from "../requests/slots.js";

/** The kernel passes names of up to 1,024 bytes: refusing one is a reply, not an anomaly. */
const TOO_LONG = Errno.ENAMETOOLONG;

function entryBody(slot: Slot, words: Uint32Array): number {
  return encodeEntry(words, BODY, slot.entry);
}

/** Every entry that reaches the kernel counts one lookup; a negative one (node 0) counts none. */
function forgetUnused(context: HandlerContext, slot: Slot): Status {
  if (slot.entry.nodeId !== 0) context.filesystem.forget(slot.entry.nodeId, 1);
  return 0;
}

function createdBody(slot: Slot, words: Uint32Array): number {
  encodeEntry(words, BODY, slot.entry);
  return ENTRY_OUT_BYTES + encodeOpen(words, BODY + ENTRY_OUT_BYTES / 4, slot.open);
}

function dropCreated(context: HandlerContext, slot: Slot): Status {
  const status = releaseUnused(context, slot, slot.entry.nodeId);
  void forgetUnused(context, slot);
  return status;
}

export const lookup: Handler = {
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeLookup(request, slot.args), TOO_LONG) || filesystem.lookup(slot, slot.nodeId, slot.args.at.name, slot.entry),
  encode: entryBody,
  refused: forgetUnused,
};

export const mknod: Handler = {
  once: true,
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeMknod(request, slot.args), TOO_LONG) || filesystem.mknod(slot, slot.args.at, slot.args.node, slot.entry),
  encode: entryBody,
  refused: forgetUnused,
};

export const mkdir: Handler = {
  once: true,
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeMkdir(request, slot.args), TOO_LONG) || filesystem.mkdir(slot, slot.args.at, slot.args.node, slot.entry),
  encode: entryBody,
  refused: forgetUnused,
};

export const symlink: Handler = {
  once: true,
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeSymlink(request, slot.args), TOO_LONG) || filesystem.symlink(slot, slot.args.at, slot.args.target, slot.entry),
  encode: entryBody,
  refused: forgetUnused,
};

export const link: Handler = {
  once: true,
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeLink(request, slot.args), TOO_LONG) || filesystem.link(slot, slot.args.node2, slot.args.at, slot.entry),
  encode: entryBody,
  refused: forgetUnused,
};

export const unlink: Handler = {
  once: true,
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeName(request, slot.args), TOO_LONG) || filesystem.unlink(slot, slot.nodeId, slot.args.at.name),
  encode: noBody,
};

export const rmdir: Handler = {
  once: true,
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeName(request, slot.args), TOO_LONG) || filesystem.rmdir(slot, slot.nodeId, slot.args.at.name),
  encode: noBody,
};

export const rename: Handler = {
  once: true,
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeRename(request, slot.args), TOO_LONG) || filesystem.rename(slot, slot.args.rename),
  encode: noBody,
};

export const rename2: Handler = {
  once: true,
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeRename2(request, slot.args), TOO_LONG) || filesystem.rename(slot, slot.args.rename),
  encode: noBody,
};

export const create: Handler = {
  once: true,
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeCreate(request, slot.args), TOO_LONG) || filesystem.create(slot, slot.args.at, slot.args.create, slot.created),
  encode: createdBody,
  refused: dropCreated,
};

export const tmpfile: Handler = {
  once: true,
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeTmpfile(request, slot.args)) || filesystem.tmpfile(slot, slot.nodeId, slot.args.create, slot.created),
  encode: createdBody,
  refused: dropCreated,
};
