import { file, requires, type Tree, whiteout } from "@sluice/testkit";
import { expect } from "vitest";
import { findRenames } from "../renames.js";
import { plantSession } from "./plant-session.js";
import { findDifferences } from "../walk-differences.js";

const { test } = requires("CAP_SYS_ADMIN");
const FILES = 200;
/** Of each deleted file, in the steps that tell whether it has a pair. */
const MAX_LOOKS = 10;

test("pairs thousands of moved files of the same bytes without a search among all of them for each", async () => {
  const named = (prefix: string): Tree => Object.fromEntries(Array.from({ length: FILES }, (_, at) => [`${prefix}${at}`, file("same")]));
  const gone = Object.fromEntries(Object.keys(named("old")).map((path) => [path, whiteout()]));
  const session = await plantSession(named("old"), { ...gone, ...named("new") });
  const stack = session.stack();
  const { list } = findDifferences(stack);
  let looks = 0;
  for (const one of list) {
    let to: string | undefined;
    Object.defineProperty(one, "to", {
      get: () => {
        looks++;
        return to;
      },
      set: (path: string) => {
        to = path;
      },
    });
  }
  findRenames(stack, list);
  expect(looks).toBeLessThan(FILES * MAX_LOOKS);
  const pairs = list.filter(({ path }) => path.startsWith("old")).map(({ to }) => to);
  expect(new Set(pairs).size).toBe(FILES);
});
