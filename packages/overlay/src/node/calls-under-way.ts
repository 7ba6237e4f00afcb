/** The calls that wait for something, by the time of their begin. All nodes that they asked for must stay until they end. */
import type { Status } from "@sluice/vfs";

/** Times are those of NodeTable.clock. */
export class CallsUnderWay {
  /** The number of calls that began at a time. Few times are in use. */
  readonly #byTime = new Map<number, number>();
  readonly #nodes: { readonly clock: number };

  constructor(nodes: { readonly clock: number }) {
    this.#nodes = nodes;
  }

  /** The time at which the oldest call began; Infinity if none is under way. */
  get oldest(): number {
    return Math.min(...this.#byTime.keys());
  }

  /** Counts a call until it ends, if it waits at all. */
  count(status: Status): Status {
    if (typeof status !== "number") this.until(status, this.#nodes.clock);
    return status;
  }

  /** Counts something that began at a time; 0 is before all nodes. */
  until(end: Promise<unknown>, time: number): void {
    this.#byTime.set(time, (this.#byTime.get(time) ?? 0) + 1);
    const ended = (): void => this.#ended(time);
    end.then(ended, ended);
  }

  #ended(time: number): void {
    const left = (this.#byTime.get(time) ?? 0) - 1;
    if (left > 0) this.#byTime.set(time, left);
    else this.#byTime.delete(time);
  }
}
