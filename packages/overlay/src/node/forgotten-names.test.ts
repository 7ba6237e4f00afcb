import { NameHash } from "@sluice/journal";
import { expect, test } from "vitest";
import { ForgottenNames, LONGEST_CHAIN, MAX_SLOTS } from "./forgotten-names.js";

const PARENT = 1;

test("names that share a bucket make no look a long one: the oldest of them goes", () => {
  const hash = new NameHash();
  const names: string[] = [];
  for (let at = 0; names.length < LONGEST_CHAIN + 3; at++) if (hash.ofText(PARENT, `n${at}`) % MAX_SLOTS === 5) names.push(`n${at}`);
  const table = new ForgottenNames(hash);
  for (const [at, name] of names.entries()) table.add({ id: 10 + at, kind: 0, inoLo: 0, inoHi: 0 }, PARENT, name);
  expect(names.map((name) => table.at(PARENT, name) !== 0)).toEqual(names.map((_, at) => at >= 3));
  expect(names.map((_, at) => table.of(10 + at) !== 0)).toEqual(names.map((_, at) => at >= 3));
});
