/** The cost of a cached answer: in memory, and at each hit. */
import { inquiryOf } from "@sluice/decision-api";
import { DecisionCache } from "@sluice/decision-client";
import type { Figure } from "./figures.js";
import { grantOf, pathOf, questionFor, REVISION } from "./questions.js";
import { median, timed } from "./rounds.js";

const MILLION = 1_000_000;
const ASKED = 1_000;

export function filledCache(entries: number): DecisionCache {
  const cache = new DecisionCache({ entries: 2 * MILLION, bytes: Number.MAX_SAFE_INTEGER });
  cache.begin(REVISION);
  for (let index = 0; index < entries; index++) {
    cache.store(questionFor(pathOf(index), 1000 + (index % 50)), grantOf(index), { atMs: 0, epoch: cache.epoch });
  }
  return cache;
}

/** Microseconds of one hit. */
export function hitUs(cache: DecisionCache, entries: number): number {
  const inquiries = Array.from({ length: ASKED }, (_, turn) => {
    const index = (turn * 997) % entries;
    return inquiryOf(questionFor(pathOf(index), 1000 + (index % 50)));
  });
  const rounds = Array.from({ length: 9 }, () => timed(100 * ASKED, (turn) => void cache.recall(inquiries[turn % ASKED] as never, true)));
  return median(rounds);
}

function heapBytes(): number {
  if (globalThis.gc === undefined) throw new Error("run with --expose-gc: memory is measured");
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

export function measureMemory(): Figure[] {
  const before = heapBytes();
  const cache = filledCache(MILLION);
  const megabytes = (heapBytes() - before) / 1e6;
  const us = hitUs(cache, MILLION);
  return [
    {
      name: "1,000,000 kept answers",
      measured: `${cache.status().entries} entries, a hit among them ${us.toFixed(2)} µs`,
      value: megabytes,
      bound: { kind: "most", value: 300, unit: "MB" },
    },
  ];
}
