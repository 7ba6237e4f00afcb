import { expect, test } from "vitest";
import { NameFilter } from "./name-filter.js";

const numbered = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, index) => `${prefix}${index}`);

test.each([0, 1, 2, 100, NameFilter.mostNames])("a filter of %i names lacks none of them, and most others", (count) => {
  const filter = new NameFilter(numbered("name-", count));
  expect(numbered("name-", count).filter((name) => filter.lacks(name))).toEqual([]);
  expect(numbered("other-", 10_000).filter((name) => !filter.lacks(name)).length).toBeLessThan(400);
});

test("says nothing of names that are not ASCII", () => {
  expect(new NameFilter(["a"]).lacks("caf\u00c3\u00a9")).toBe(false);
});
