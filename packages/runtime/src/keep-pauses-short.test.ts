import { setImmediate as nextTurn } from "node:timers/promises";
import { cachedDataVersionTag, getHeapSpaceStatistics } from "node:v8";
import { expect, it } from "vitest";
import { collectGarbage, YoungCollector } from "./keep-pauses-short.js";

const usedByYoung = (): number => getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space")?.space_used_size ?? 0;

/** The largest size of the young generation while some 5 KB were allocated 2,000 times. */
function mostWhileMaking(look: () => void): number {
  let most = 0;
  let retained: unknown[] = [];
  for (let turn = 0; turn < 2_000; turn++) {
    retained = Array.from({ length: 64 }, (_, at) => ({ turn, at }));
    look();
    most = Math.max(most, usedByYoung());
  }
  expect(retained).toHaveLength(64);
  return most;
}

it("keeps the young generation small if V8 would let it grow", () => {
  const young = new YoungCollector();
  young.look();
  const collected = mostWhileMaking(() => young.look());
  expect(collected).toBeLessThan(768 << 10);
  expect(mostWhileMaking(() => undefined)).toBeGreaterThan(collected);
});

it("collects all garbage, and leaves V8 the flags for which caches of code were made", async () => {
  const flags = cachedDataVersionTag();
  const forgotten = new WeakRef({});
  // In the turn in which it was made it stays.
  await nextTurn();
  collectGarbage();
  expect(forgotten.deref()).toBeUndefined();
  expect(cachedDataVersionTag()).toBe(flags);
});
