/**
 * File handles outlive an unmount. A mount leaves a record of its nodeIds in the scratch directory, and the next mount of the
 * same upper layer continues with the same ids. It reads the record once and removes it. After a crash, or after a mount by the
 * kernel, which clears that directory, there is no record. Then ids begin anywhere, so that old handles are stale and never
 * another file's.
 */
import { randomInt } from "node:crypto";
import { inTurns, O } from "@sluice/vfs";
import { closeFd, openName, readWhole, upkeep } from "../layer/system-calls.js";
import type { RealDir } from "../layer/host-layer.js";
import type { ForgottenName } from "../node/forgotten-names.js";
import type { ForgottenNode } from "../node/forgotten-nodes.js";
import type { NodeTable } from "../node/node-table.js";

export const HANDLES = "handles";
const FORMAT = "sluice handles 1";
const END = "end";
/** Of nodes: the newest stay. A few megabytes. */
const MAX_RECORDS = 65_536;
const MAX_BYTES = 1 << 26;
const PIECE_RECORDS = 200;
/** Ids stay numbers of 31 bits for a billion nodes more: V8 has no cheaper ones. */
const MAX_FIRST_ID = 2 ** 30;

/** Records are text, since names hold neither NUL nor "/". Gives the text in pieces. */
export function* encodeHandles(nextId: number, records: Iterable<ForgottenNode>): Generator<string, void> {
  let piece = [`${FORMAT}/${nextId}`];
  let count = 0;
  for (const { id, kind, inoLo, inoHi, names } of records) {
    if (count++ === MAX_RECORDS) break;
    piece.push([id, kind, inoLo, inoHi, ...names.flatMap(({ parentId, name }) => [parentId, name])].join("/"));
    if (piece.length < PIECE_RECORDS) continue;
    yield `${piece.join("\0")}\0`;
    piece = [];
  }
  yield [...piece, END].join("\0");
}

/** Undefined if it is not whole. */
export function decodeHandles(text: string): { nextId: number; records: ForgottenNode[] } | undefined {
  const lines = text.split("\0");
  const [format, first] = lines[0]?.split("/") ?? [];
  const nextId = Number(first);
  if (format !== FORMAT || lines.at(-1) !== END || !Number.isSafeInteger(nextId)) return undefined;
  return { nextId, records: lines.slice(1, -1).map(decodeNode) };
}

function decodeNode(line: string): ForgottenNode {
  const fields = line.split("/");
  const [id = 0, kind = 0, inoLo = 0, inoHi = 0] = fields.slice(0, 4).map(Number);
  const names: ForgottenName[] = [];
  for (let at = 4; at + 1 < fields.length; at += 2) names.push({ parentId: Number(fields[at]), name: fields[at + 1] as string });
  return { id, kind, inoLo, inoHi, names };
}

/** The record that an earlier mount left in its scratch directory, before that is cleared; "" if there is none. */
export function readHandles(scratchFd: number): string {
  const fd = openName(scratchFd, HANDLES, O.RDONLY, 0);
  if (fd < 0) return "";
  const bytes = readWhole(fd, MAX_BYTES);
  closeFd(fd);
  return bytes?.toString("latin1") ?? "";
}

export function loadHandles(nodes: NodeTable, left: string): void {
  const persisted = decodeHandles(left);
  nodes.skipIds(persisted?.nextId ?? randomInt(2, MAX_FIRST_ID));
  nodes.forgotten.restore(persisted?.records ?? []);
}

/** At the end of a mount, in turns: other mounts of the process go on. A failure costs nothing but the handles. */
export function saveHandles(nodes: NodeTable, scratch: RealDir): void | Promise<void> {
  return inTurns(write(nodes, scratch));
}

function* write(nodes: NodeTable, scratch: RealDir): Generator<void, void, boolean> {
  if (nodes.remembered().next().done === true) return;
  const fd = openName(scratch.fd, HANDLES, O.WRONLY | O.CREAT | O.TRUNC, 0o600);
  if (fd < 0) return;
  let at = 0;
  for (const text of encodeHandles(nodes.nextId, nodes.remembered())) {
    const bytes = Buffer.from(text, "latin1");
    const written = upkeep.pwrite(fd, bytes, { offset: 0, length: bytes.length, position: at }, 0);
    // Nobody reads a record that is cut off.
    if (written !== bytes.length) break;
    at += written;
    yield;
  }
  closeFd(fd);
}
