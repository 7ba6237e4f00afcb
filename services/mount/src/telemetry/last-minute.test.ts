import { expect, test } from "vitest";
import { LastMinute } from "./last-minute.js";

test("counts events of the last minute, and forgets older ones", () => {
  const events = new LastMinute();
  expect(events.count(1_000_000)).toBe(0);
  events.add(1_000_000);
  events.add(1_000_999);
  events.add(1_030_000);
  expect(events.count(1_030_500)).toBe(3);
  expect(events.count(1_059_999)).toBe(3);
  expect(events.count(1_060_000)).toBe(1);
  events.add(1_060_000);
  expect(events.count(1_060_000)).toBe(2);
  expect(events.count(9_000_000)).toBe(0);
});
