import { expect, test } from "vitest";
import { RateLimits } from "./rate-limits.js";

test("grants one second's worth at once, and queues later transfers behind earlier ones", () => {
  let now = 0;
  const limits = new RateLimits(() => now);
  limits.join("a", 1000);
  expect(limits.take("a", 1000)).toBe(0);
  expect(limits.take("a", 500)).toBe(500);
  expect(limits.take("a", 500)).toBe(1000);
  now = 1000;
  expect(limits.take("a", 1)).toBe(1);
  limits.giveBack("a", 1);
  now = 60_000;
  // It holds no more than a second's worth, however long nobody came.
  expect(limits.take("a", 1000)).toBe(0);
  expect(limits.take("a", 1)).toBe(1);
});

test("a rate lasts as long as somebody shares it, the newest holds, and others are their own", () => {
  let now = 0;
  const limits = new RateLimits(() => now);
  limits.join("a", 10);
  limits.join("a", 1000);
  limits.join("b", 10);
  expect(limits.take("a", 10)).toBe(0);
  expect(limits.take("a", 100)).toBe(100);
  limits.leave("a", true);
  expect(limits.take("b", 10)).toBe(0);
  now = 1;
  limits.leave("a", true);
  limits.leave("b", true);
  expect(limits.size).toBe(0);
  expect(limits.take("a", 1_000_000)).toBe(0);
});

test("a bucket without opens keeps its rest until it is full again", () => {
  let now = 0;
  const limits = new RateLimits(() => now);
  for (let turn = 0; turn < 3; turn++) {
    limits.join("a", 1000);
    expect(limits.take("a", 1000)).toBe(turn * 1000);
    limits.leave("a", false);
  }
  expect(limits.size).toBe(1);
  now = 2_900;
  limits.join("b", 10);
  limits.leave("b", false);
  // Two seconds' worth was owed, and a full one is another second.
  expect(limits.size).toBe(2);
  now = 4_000;
  limits.join("b", 10);
  expect(limits.size).toBe(1);
  limits.join("a", 1000);
  expect(limits.take("a", 1000)).toBe(0);
});

test("a bucket with unknown use starts empty", () => {
  let now = 0;
  const limits = new RateLimits(() => now);
  limits.join("a", 1000, true);
  expect(limits.take("a", 500)).toBe(500);
  now = 60_000;
  expect(limits.take("a", 1000)).toBe(0);
});
