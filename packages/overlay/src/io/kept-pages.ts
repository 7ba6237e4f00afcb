/**
 * Pages of a mediated file that the kernel has from earlier opens. They may stay while the file is what it was when they were
 * read or written: same file, size and times, and nobody has ever written to it past us, since a mapping can do so within
 * one tick of the file's clock. Opens that somebody watches have no pages; an open that is withheld drops them (withhold-open.ts).
 */
import { Attr } from "@sluice/vfs";
import { statFd } from "../layer/system-calls.js";
import type { OpenFile } from "../handles/handle-table.js";

const attr = new Attr();
/** Words of a stat that tell whether content may be another: inode, size, seconds and nanoseconds of change, device. */
const WORDS = [0, 1, 2, 3, 8, 9, 10, 11, 13, 14, 22, 23] as const;

/**
 * Whether the pages that the kernel has of a file opened through its cache may stay. Those of an open that they may not stay
 * with are gone only some time after our reply (fs/fuse/file.c fuse_open), and until then another open would find them: the
 * next may keep what there is once that one has shown that it is through.
 */
export function mayKeepPages(file: OpenFile): boolean {
  const { io, node } = file;
  if (node.writtenPastUs || node.formers !== undefined || statFd(file.fd, attr) < 0) return forgetPages(file);
  if (io.pagesOf !== undefined && WORDS.every((word, index) => io.pagesOf?.[index] === attr.words[word])) return true;
  file.pagesFrom = stateNow();
  return forgetPages(file);
}

/** A first transfer by an open that had the kernel drop its pages: what it has now is of the file as it was then, or later. */
export function pagesDropped(file: OpenFile): void {
  file.io.pagesOf = file.pagesFrom;
  file.pagesFrom = undefined;
}

/** A writer's last close: what it wrote went into the pages and into the file. */
export function pagesWritten(file: OpenFile): void {
  if (file.io.pagesOf === undefined) return;
  if (file.node.writtenPastUs || statFd(file.fd, attr) < 0) forgetPages(file);
  else file.io.pagesOf = stateNow();
}

function stateNow(): Uint32Array {
  const state = new Uint32Array(WORDS.length);
  for (let at = 0; at < WORDS.length; at++) state[at] = attr.words[WORDS[at] as number] as number;
  return state;
}

function forgetPages({ io }: OpenFile): false {
  io.pagesOf = undefined;
  return false;
}
