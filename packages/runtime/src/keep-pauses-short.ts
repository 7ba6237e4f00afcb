/** Pauses for garbage, during which no request is answered: many short ones instead of few long ones. */
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * In one pause V8 moves the survivors of the young generation, and nodes do survive: grown to its 16 MiB it takes
 * several milliseconds while a tree is walked. It is kept from growing beyond what it starts with, and loading a service's modules
 * has it grow already: call this before they are imported.
 */
export function keepPausesShort(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
}

/** The growth of the heap between two checks before it is collected: V8 moves the survivors in less than half a millisecond. */
const YOUNG_BYTES = 256 << 10;

/**
 * Collects the young generation before V8 would by itself, and so has less to move in each pause. Whoever makes much looks now and
 * then, after some dozen requests. V8 shows its own function for it (--expose-gc) to contexts that are made from then on.
 */
export class YoungCollector {
  readonly #collect: (how: { type: "minor" }) => void;
  #usedBytes = 0;

  constructor() {
    setFlagsFromString("--expose-gc");
    this.#collect = runInNewContext("gc") as (how: { type: "minor" }) => void;
    setFlagsFromString("--no-expose-gc");
  }

  look(): void {
    const usedBytes = getHeapStatistics().used_heap_size;
    if (usedBytes - this.#usedBytes > YOUNG_BYTES) {
      this.#collect({ type: "minor" });
      this.#usedBytes = getHeapStatistics().used_heap_size;
    } else if (usedBytes < this.#usedBytes) {
      this.#usedBytes = usedBytes;
    }
  }
}
