import { expect, test } from "vitest";
import { Deeper, unnested } from "./unnested.js";

function* down(depth: number): Generator<number | Deeper<number>> {
  yield depth;
  if (depth > 0) yield new Deeper(down(depth - 1));
  yield -depth;
}

test("walks in order, each part in the place where it was given", () => {
  expect([...unnested(down(2))]).toEqual([2, 1, 0, -0, -1, -2]);
});

test("walks a hundred thousand levels down", () => {
  let count = 0;
  for (const _each of unnested(down(100_000))) count++;
  expect(count).toBe(200_002);
});
