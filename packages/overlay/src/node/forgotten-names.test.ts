import { expect, test } from "vitest";
import { bucketOfPlace, ForgottenNames, LONGEST_CHAIN, MAX_SLOTS } from "./forgotten-names.js";

const PARENT = 1;
const SEED = 3;

test("names that were chosen to share a bucket make no look a long one: the oldest of them goes", () => {
  const names: string[] = [];
  for (let at = 0; names.length < LONGEST_CHAIN + 3; at++) if (bucketOfPlace(SEED, PARENT, `n${at}`) === 5) names.push(`n${at}`);
  const table = new ForgottenNames(SEED);
  for (const [at, name] of names.entries()) table.add({ id: 10 + at, kind: 0, inoLo: 0, inoHi: 0 }, PARENT, name);
  expect(table.size).toBe(LONGEST_CHAIN);
  expect(names.map((name) => table.at(PARENT, name) !== 0)).toEqual(names.map((_, at) => at >= 3));
  expect(names.map((_, at) => table.of(10 + at) !== 0)).toEqual(names.map((_, at) => at >= 3));
});

test("the names of a directory, and one name in many, come into all buckets, whatever the seed is", () => {
  for (const seed of [0, 1, 2 ** 31, 2 ** 32 - 1]) {
    const filled = (places: readonly [number, string][]): number => new Set(places.map(([id, name]) => bucketOfPlace(seed, id, name))).size;
    const many = Array.from({ length: MAX_SLOTS }, (_, at) => at);
    // Of as many throws as there are buckets 63 % are hit.
    expect(filled(many.map((at) => [7, `file-${at}.ts`])) / MAX_SLOTS).toBeGreaterThan(0.6);
    expect(filled(many.map((at) => [2 + at, "index.ts"])) / MAX_SLOTS).toBeGreaterThan(0.6);
  }
});
