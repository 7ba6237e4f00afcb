/** Handlers of the operations on open directories. */
import {
  decodeFsync,
  decodeOpen,
  decodeReaddir,
  decodeRelease,
  eachListedNode,
  encodeOpendir,
  Opcode,
  type Request,
} from "@sluice/fuse-protocol";
import type { Status } from "@sluice/vfs";
import { BODY, type Handler, type HandlerContext, noBody } from "./handler.js";
import type { Slot } from "../requests/slots.js";

export const opendir: Handler = {
  once: true,
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeOpen(request, slot.args)) || filesystem.opendir(slot, slot.nodeId, slot.args.flags, slot.open),
  encode: (slot, words) => encodeOpendir(words, BODY, slot.open),
  refused: ({ filesystem }, slot) => filesystem.releasedir(slot, slot.nodeId, slot.open.handle),
};

function startReaddir({ filesystem, data }: HandlerContext, slot: Slot, request: Request): Status {
  const malformed = slot.check(decodeReaddir(request, slot.args, slot.opcode === Opcode.READDIRPLUS));
  if (malformed !== 0) return malformed;
  const sizeBytes = Math.min(slot.args.size, data.maxDataBytes);
  slot.data.reserve(sizeBytes);
  if (slot.data.buffer !== undefined) slot.directory.begin(slot.data.buffer, sizeBytes);
  return filesystem.readdir(slot, slot.nodeId, slot.args.readdir, slot.directory);
}

function listingBody(slot: Slot): number {
  slot.data.length = slot.directory.length;
  return slot.directory.length;
}

export const readdir: Handler = { start: startReaddir, encode: listingBody };

export const readdirplus: Handler = {
  start: startReaddir,
  encode: listingBody,
  refused: ({ filesystem }, slot) => {
    const { buffer } = slot.data;
    if (buffer !== undefined) eachListedNode(buffer, slot.data.length, (node) => filesystem.forget(node, 1));
    return 0;
  },
};

export const releasedir: Handler = {
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeRelease(request, slot.args)) || filesystem.releasedir(slot, slot.nodeId, slot.args.release.handle),
  encode: noBody,
};

export const fsyncdir: Handler = {
  start: ({ filesystem }, slot, request) =>
    slot.check(decodeFsync(request, slot.args)) || filesystem.fsyncdir(slot, slot.nodeId, slot.args.fsync.handle, slot.args.fsync.dataOnly),
  encode: noBody,
};
