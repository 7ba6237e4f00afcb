/**
 * Long work gives way. The event loop's one thread serves everybody, so work whose length a user chooses goes on for a few
 * milliseconds and waits for its next turn; requests are read and answered in between. All long works of the process share
 * one queue: one of them gets one turn in each round of the event loop, however many there are.
 *
 * State may change between two turns. Work that acts on an earlier result looks again, synchronously, before it acts.
 */
/** Half of the time that a request may wait for work of others, so that the step that overruns a turn has room. */
const TURN_MS = 2.5;

/** The clock and the event loop; a test plays both. */
export interface Loop {
  nowMs(): number;
  /** Runs `task` in the next round, after the requests that came in meanwhile. */
  nextRound(task: () => void): void;
}

const eventLoop: Loop = {
  nowMs: () => performance.now(),
  nextRound: (task) => {
    setImmediate(task);
  },
};

/** The long works that wait for a turn, in the order in which they asked. */
export class TurnQueue {
  readonly #waiting: (() => void)[] = [];

  constructor(readonly loop: Loop = eventLoop) {}

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) this.loop.nextRound(this.#serveOne);
    });
  }

  readonly #serveOne = (): void => {
    const resume = this.#waiting.shift();
    if (this.#waiting.length > 0) this.loop.nextRound(this.#serveOne);
    resume?.();
  };
}

const processQueue = new TurnQueue();

/**
 * The turn of one piece of work: `if (turn.isOver) await turn.next()` after each small step. A first turn begins at once,
 * but is over at once while other long work waits: else many requests together would hold the loop for a turn each.
 */
export class LoopTurn {
  readonly #queue: TurnQueue;
  #endsMs: number;

  constructor(queue: TurnQueue = processQueue) {
    this.#queue = queue;
    this.#endsMs = queue.isEmpty ? queue.loop.nowMs() + TURN_MS : 0;
  }

  get isOver(): boolean {
    return this.#queue.loop.nowMs() >= this.#endsMs;
  }

  /** Resolves when it is this work's turn again. */
  async next(): Promise<void> {
    await this.#queue.wait();
    this.#endsMs = this.#queue.loop.nowMs() + TURN_MS;
  }
}

/**
 * Runs work that yields after each small step: its result at once if it ends within its first turn, so that short work
 * makes no promise; else a promise. A `yield` gives true after the work has waited for another turn.
 */
export function inTurns<T>(steps: Generator<void, T, boolean>, turn = new LoopTurn()): T | Promise<T> {
  const result = untilOver(steps, turn, false);
  return result.done === true ? result.value : inLaterTurns(steps, turn);
}

async function inLaterTurns<T>(steps: Generator<void, T, boolean>, turn: LoopTurn): Promise<T> {
  for (;;) {
    await turn.next();
    const result = untilOver(steps, turn, true);
    if (result.done === true) return result.value;
  }
}

function untilOver<T>(steps: Generator<void, T, boolean>, turn: LoopTurn, waited: boolean): IteratorResult<void, T> {
  for (let result = steps.next(waited); ; result = steps.next(false)) {
    if (result.done === true || turn.isOver) return result;
  }
}
