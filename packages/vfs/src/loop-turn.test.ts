import { expect, test } from "vitest";
import { inTurns, type Loop, LoopTurn, TurnQueue } from "./loop-turn.js";

/** A clock that stands still, and rounds that the test begins. */
class PlayedLoop implements Loop {
  time = 0;
  readonly #tasks: (() => void)[] = [];

  nowMs(): number {
    return this.time;
  }
  nextRound(task: () => void): void {
    this.#tasks.push(task);
  }
  /** One round, and everything that follows from it by promises alone. */
  async round(): Promise<void> {
    for (const task of this.#tasks.splice(0)) task();
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Each step takes a millisecond. */
function* work(loop: PlayedLoop, log: string[], { name, steps }: { name: string; steps: number }): Generator<void, string> {
  for (let step = 1; step <= steps; step++) {
    loop.time += 1;
    log.push(`${name}${step}`);
    yield;
  }
  return name;
}

test("ends at once if it ends within its first turn, without a promise", () => {
  const loop = new PlayedLoop();
  expect(inTurns(work(loop, [], { name: "a", steps: 2 }), new LoopTurn(new TurnQueue(loop)))).toBe("a");
});

test("yields after a turn, and continues in the next round", async () => {
  const loop = new PlayedLoop();
  const log: string[] = [];
  const result = inTurns(work(loop, log, { name: "a", steps: 7 }), new LoopTurn(new TurnQueue(loop)));
  expect(log).toEqual(["a1", "a2", "a3"]);
  await loop.round();
  expect(log).toEqual(["a1", "a2", "a3", "a4", "a5", "a6"]);
  await loop.round();
  expect(await result).toBe("a");
});

test("gives one of several works a turn in each round, and no first turn to one that comes later", async () => {
  const loop = new PlayedLoop();
  const queue = new TurnQueue(loop);
  const log: string[] = [];
  const all = ["a", "b", "c"].map((name) => Promise.resolve(inTurns(work(loop, log, { name, steps: 4 }), new LoopTurn(queue))));
  expect(log).toEqual(["a1", "a2", "a3", "b1", "c1"]);
  await loop.round();
  expect(log.slice(5)).toEqual(["a4"]);
  await loop.round();
  expect(log.slice(6)).toEqual(["b2", "b3", "b4"]);
  await loop.round();
  await loop.round();
  await loop.round();
  expect(await Promise.all(all)).toEqual(["a", "b", "c"]);
});

test("ends a turn while its work waits for something else", async () => {
  const loop = new PlayedLoop();
  const turn = new LoopTurn(new TurnQueue(loop));
  expect(turn.isOver).toBe(false);
  loop.time += 60_000;
  expect(turn.isOver).toBe(true);
  const next = turn.next();
  await loop.round();
  await next;
  expect(turn.isOver).toBe(false);
});
