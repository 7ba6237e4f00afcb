/**
 * Pages of a mediated file that the kernel caches across opens (FOPEN_KEEP_CACHE). They may stay while the file is the same as
 * when they were read or written, by inode, size and times; and only if no write ever bypassed the daemon, since a mapping can
 * write within one tick of the file's clock. Observed opens have no pages; a withheld open drops them (withhold-open.ts).
 */
import { Attr } from "@sluice/vfs";
import { statFd } from "../layer/system-calls.js";
import type { OpenFile } from "../handles/handle-table.js";

const attr = new Attr();
/** The words of a stat that show whether the content may differ: inode, size, times of modification and change, device. */
const WORDS = [0, 1, 2, 3, 8, 9, 10, 11, 13, 14, 22, 23] as const;

/**
 * May the pages that the kernel caches stay, now that the file is opened through the cache? If not, the kernel drops them some
 * time after our reply (fs/fuse/file.c fuse_open), and until then another open would find them. So a later open may let pages
 * stay only after a transfer by this open, which proves that they were dropped.
 */
export function mayCachePages(file: OpenFile): boolean {
  const { io, node } = file;
  if (node.writtenPastUs || node.aliases !== undefined || statFd(file.fd, attr) < 0) return forgetPages(file);
  if (io.pagesOf !== undefined && WORDS.every((word, index) => io.pagesOf?.[index] === attr.words[word])) return true;
  file.pagesFrom = stateNow();
  return forgetPages(file);
}

/** The first transfer by an open that made the kernel drop its pages: the pages it has now are of the file as it was then, or later. */
export function pagesDropped(file: OpenFile): void {
  file.io.pagesOf = file.pagesFrom;
  file.pagesFrom = undefined;
}

/** A writer's last close: its bytes went into both the pages and the file. */
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
