/** Pauses for garbage collection answer no request: this makes many short ones instead of few long ones. */
import { type EventLoopUtilization, performance } from "node:perf_hooks";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * In one pause V8 moves the survivors of the young generation, and nodes do survive: at its full 16 MiB that takes
 * several milliseconds while a tree is walked. This limits it to its initial size. Loading a service's modules already
 * makes it grow: call this before they are imported. So small a generation, and its buffers, are collected by this thread alone: to
 * wake another one, and to wait for it, takes longer than its share of the work, on busy processors a hundred milliseconds. Caches of compiled code are made for these flags, too
 * (packages/dev/make-caches.cjs).
 */
export function keepPausesShort(): void {
  setFlagsFromString("--semi-space-growth-factor=1 --no-parallel-scavenge --no-concurrent-array-buffer-sweeping");
}

/** So long hardly anything was to be done: the collection, of some 10 ms, probably keeps nobody waiting. */
const REST_MS = 500;
/** A part of the time. */
const AT_REST = 0.02;

type Collect = (how?: { type: "minor" }) => void;

/** V8's own function for a collection. V8 shows it (--expose-gc) to contexts that are created afterwards. */
function collectFunction(): Collect {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as Collect;
  // Caches of compiled code are for certain flags.
  setFlagsFromString("--no-expose-gc");
  return collect;
}

/**
 * Collects all garbage, which takes some 10 ms. A process that is ready for a user calls it when its preparations are over: V8 would collect
 * what they left while the user waits, and take a second processor for that.
 */
export function collectGarbage(): void {
  collectFunction()();
}

let isPlanned = false;

/**
 * From the first rest after the first call on, this thread alone collects the old generation. Another one marks faster than the program
 * changes its objects, so V8 does its part of the work in steps of 3 to 5 ms, and waits for the other one in a pause of as many: alone it
 * takes steps of half a millisecond, pauses of 1 to 2, and less of the processors in all. V8 refuses caches of compiled code from then on:
 * a program that serves has most of its code. A thread that waits in a ring of io_uring never rests for Node.
 */
export function collectAloneLater(): void {
  if (isPlanned) return;
  isPlanned = true;
  collectAloneAtRest(performance.eventLoopUtilization());
}

function collectAloneAtRest(before: EventLoopUtilization): void {
  setTimeout(() => {
    const now = performance.eventLoopUtilization();
    if (performance.eventLoopUtilization(now, before).utilization < AT_REST) collectAlone();
    else collectAloneAtRest(now);
  }, REST_MS).unref();
}

/** V8 reads the flags whenever it begins something. The work that another thread has begun ends with the collection. */
export function collectAlone(): void {
  collectGarbage();
  setFlagsFromString("--no-concurrent-marking --no-concurrent-sweeping");
}

/** The growth of the heap between two checks that triggers a collection: V8 moves the survivors in less than half a millisecond. */
const YOUNG_BYTES = 256 << 10;

/** V8 adds its pages up for each look, which takes some ten microseconds. So many calls at most pass without one. */
const MOST_SKIPPED = 16;

/**
 * Collects the young generation before V8 would by itself, so each pause has less to move. Code that allocates much calls this
 * now and then, after some dozen requests.
 */
export class YoungCollector {
  readonly #collect = collectFunction();
  /** After the last collection. */
  #usedBytes = 0;
  /** At the last look, and the calls since then. */
  #lookedBytes = 0;
  #calls = 0;
  #skip = 0;

  look(): void {
    this.#calls++;
    if (this.#skip-- > 0) return;
    const usedBytes = getHeapStatistics().used_heap_size;
    if (usedBytes - this.#usedBytes > YOUNG_BYTES) {
      this.#collect({ type: "minor" });
      this.#usedBytes = this.#lookedBytes = getHeapStatistics().used_heap_size;
      this.#skip = 0;
    } else {
      if (usedBytes < this.#usedBytes) this.#usedBytes = usedBytes;
      this.#skip = this.#skippable(usedBytes);
      this.#lookedBytes = usedBytes;
    }
    this.#calls = 0;
  }

  /** Half of the calls after which the heap will have grown by so much, if it goes on growing as since the last look. */
  #skippable(usedBytes: number): number {
    const perCall = (usedBytes - this.#lookedBytes) / this.#calls;
    if (perCall <= 0) return 0;
    return Math.min(MOST_SKIPPED, Math.floor((this.#usedBytes + YOUNG_BYTES - usedBytes) / perCall / 2));
  }
}

let collector: YoungCollector | undefined;

/** One for all mounts of the process, as they have one heap. */
export function youngCollector(): YoungCollector {
  return (collector ??= new YoungCollector());
}
