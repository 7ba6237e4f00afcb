import { expect, test } from "vitest";
import { HotList } from "./hot-list.js";

test("finds frequent keys among many rare ones, and never counts them too low", () => {
  const hot = new HotList(10);
  for (let round = 0; round < 1000; round++) {
    hot.add("hottest");
    if (round % 2 === 0) hot.add("hot");
    hot.add(`rare ${round}`);
  }
  const [first, second] = hot.top();
  expect([first?.key, second?.key]).toEqual(["hottest", "hot"]);
  for (const [slot, real] of [
    [first, 1000],
    [second, 500],
  ] as const) {
    expect(slot?.count).toBeGreaterThanOrEqual(real);
    expect((slot?.count ?? 0) - (slot?.atMostOver ?? 0)).toBeLessThanOrEqual(real);
  }
  expect(hot.top()).toHaveLength(10);
});
