/**
 * Removes directories of the upper file system that hold nothing but whiteouts, once they lie hidden in the scratch directory.
 * Whiteouts may be many: the rest of a first turn is removed in further turns, after the reply. The next mount removes the
 * leftovers of a crash.
 */
import { AT, Attr, inTurns, O } from "@sluice/vfs";
import { parseDirents } from "../layer/dirents.js";
import { closeFd, openName, statName, sys, upkeep } from "../layer/system-calls.js";
import type { RealDir } from "../layer/host-layer.js";
import type { ScratchDirectory } from "../layer/layer-stack.js";
import { isForeignMark } from "../marks/foreign-marks.js";
import type { MarkNames } from "../marks/names.js";
import { isWhiteout } from "../marks/whiteout.js";

/** Small, as each of its names costs system calls: reading on must not take a turn by itself. */
const bytes = Buffer.alloc(8192);
const attr = new Attr();

interface PurgeContext extends Pick<ScratchDirectory, "scratch"> {
  readonly marks: MarkNames;
}

/** Purges under way. */
export class Purges {
  readonly #running = new Set<Promise<void>>();

  /** `name` in the scratch directory. Something else than whiteouts stays, and so does the directory. */
  start(core: PurgeContext, name: string): void {
    const rest = inTurns(purgeDirectory(core, name));
    if (!(rest instanceof Promise)) return;
    this.#running.add(rest);
    void rest.then(() => this.#running.delete(rest));
  }

  get underWay(): boolean {
    return this.#running.size > 0;
  }

  /** Resolves when all have ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#running);
  }
}

function* purgeDirectory(core: PurgeContext, name: string): Generator<void> {
  const scratchFd = (core.scratch as RealDir).fd;
  const fd = openName(scratchFd, name, O.RDONLY | O.DIRECTORY, 0);
  if (fd < 0) return;
  try {
    yield* clearWhiteouts(fd, core.marks.foreign);
  } finally {
    closeFd(fd);
  }
  upkeep.unlinkat(scratchFd, name, AT.REMOVEDIR);
}

function* clearWhiteouts(fd: number, foreign: boolean): Generator<void> {
  for (let names = nextNames(fd); names.length > 0; names = nextNames(fd)) {
    for (const name of names) {
      if (statName(fd, name, attr) >= 0 && !isWhiteout(attr) && !(foreign && isForeignMark(name))) return;
      upkeep.unlinkat(fd, name, 0);
      yield;
    }
  }
}

/** The names of a batch; none at the end of the directory, or if it cannot be read. */
function nextNames(fd: number): string[] {
  const names: string[] = [];
  for (let length = 1; length > 0 && names.length === 0; ) {
    length = sys.getdents64(fd, bytes);
    if (length > 0) {
      parseDirents(bytes, length, (entry) => {
        if (entry !== "." && entry !== "..") names.push(entry);
      });
    }
  }
  return names;
}

/** Is anything in the directory that was just opened? */
export function hasEntries(fd: number): boolean {
  return nextNames(fd).length > 0;
}
