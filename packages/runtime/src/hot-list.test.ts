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

test("drops a key of the least count for a new one, whatever the counts are", () => {
  const hot = new HotList(4);
  for (const [key, amount] of [
    ["a", 7],
    ["b", 3],
    ["c", 5],
    ["d", 3],
  ] as const) {
    hot.add(key, amount);
  }
  hot.add("b");
  hot.add("e");
  hot.add("f");
  const counts = hot.top().map(({ key, count, atMostOver }) => [key, count, atMostOver]);
  expect(counts.slice(0, 2)).toEqual([
    ["a", 7, 0],
    ["c", 5, 0],
  ]);
  expect(counts.slice(2).map(([, count]) => count)).toEqual([5, 4]);
});
