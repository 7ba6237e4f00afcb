import { execFileSync } from "node:child_process";
import { setImmediate as nextTurn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
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

/** Keeps some 20 MB alive in many objects, and replaces them again and again. */
const CHURN = `
  const kept = [];
  for (let at = 0; at < 3_000_000; at++) kept[at % 200_000] = { at, next: kept[(at * 7) % 200_000]?.at };
`;

/** The time in milliseconds that other threads marked for, in each collection of the old generation. */
function markedByOthersMs(before: string): number[] {
  const text = execFileSync(process.execPath, ["--trace-gc-nvp", "--input-type=module", "--eval", before + CHURN], { encoding: "utf8" });
  const collections = text.split("\n").filter((line) => line.includes(" gc=mc "));
  return collections.map((line) => Number(/ background\.mark=([\d.]+)/.exec(line)?.[1]));
}

it("collects alone: other threads mark nothing, except in a pause", () => {
  const path = fileURLToPath(new URL("../dist/keep-pauses-short.js", import.meta.url));
  const alone = markedByOthersMs(`const { collectAlone } = await import(${JSON.stringify(path)}); collectAlone();`);
  // The first one is that of the call itself. In some pauses others still help, for a moment, but none is at work between the pauses.
  expect(alone.length).toBeGreaterThan(1);
  expect(Math.min(...alone.slice(1))).toBe(0);
});
