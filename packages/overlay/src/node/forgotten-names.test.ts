import { NameHash } from "@sluice/journal";
import { expect, test } from "vitest";
import { ForgottenNames, LONGEST_CHAIN } from "./forgotten-names.js";

const PARENT = 1;

test("names that share a bucket make no look a long one: the oldest of them goes", () => {
  // All names of eight bytes have the same hash.
  const hash = new NameHash(new Uint32Array(256));
  const names = Array.from({ length: LONGEST_CHAIN + 3 }, (_, at) => `${at}`.padStart(8, "n"));
  expect(new Set(names.map((name) => hash.ofText(PARENT, name)))).toEqual(new Set([0]));
  const table = new ForgottenNames(hash);
  for (const [at, name] of names.entries()) table.add({ id: 10 + at, kind: 0, inoLo: 0, inoHi: 0 }, PARENT, name);
  expect(names.map((name) => table.at(PARENT, name) !== 0)).toEqual(names.map((_, at) => at >= 3));
  expect(names.map((_, at) => table.of(10 + at) !== 0)).toEqual(names.map((_, at) => at >= 3));
});
