import { expect, test } from "vitest";
import { ActivityHistory, type CountedDecisions } from "./activity-history.js";

/** The beginning of a step of five minutes. */
const START = 1_800_000_000_000;
const MINUTE = 60_000;
const deny: CountedDecisions = { effect: "deny", rule: "keys", path: "a.pem", count: 1, asked: true, tookUs: 100 };

test("counts decisions by effect and by the origin of their answers, with the times of those that were asked", () => {
  const history = new ActivityHistory();
  history.add(deny, START);
  history.add({ ...deny, tookUs: 900 }, START + 4_999);
  history.add({ effect: "grant", rule: "default", path: "b", count: 8, asked: false }, START + 1_000);
  history.sample(3, 1, START + 2_000);
  // The step under way is no part of it.
  history.add({ ...deny, count: 500 }, START + 5_000);
  const { times, stepS, effects, asked, cached, p50Us, p99Us, bypass } = history.overview(5 * MINUTE, START + 5_000);
  expect([times.length, stepS, times.at(-1)]).toEqual([60, 5, (START + 5_000) / 1000]);
  expect([effects.deny.at(-1), effects.grant.at(-1), asked.at(-1), cached.at(-1)]).toEqual([0.4, 1.6, 0.4, 1.6]);
  expect([p50Us.at(-1), p99Us.at(-1)]).toEqual([130, 985]);
  expect(bypass.at(-1)).toBe(0.75);
  expect([effects.deny.at(-2), p50Us.at(-2), bypass.at(-2)]).toEqual([0, null, null]);
});

test("keeps a day, in points of a longer step, and forgets the day before", () => {
  const history = new ActivityHistory();
  history.add({ ...deny, count: 600 }, START);
  const day = history.overview(24 * 60 * MINUTE, START + 20 * 60 * MINUTE);
  expect(day.times.length).toBeLessThanOrEqual(300);
  expect(Math.round(day.effects.deny.reduce((sum, rate) => sum + rate * day.stepS, 0))).toBe(600);
  expect(day.denied).toEqual([{ path: "a.pem", rule: "keys", count: 600 }]);
  const next = START + 24 * 60 * MINUTE;
  history.add({ ...deny, count: 1, path: undefined }, next);
  const { effects, stepS, denied } = history.overview(24 * 60 * MINUTE, next + 10 * MINUTE);
  expect(Math.round(effects.deny.reduce((sum, rate) => sum + rate * stepS, 0))).toBe(1);
  expect(denied).toEqual([]);
});

test("names the most frequent rules and denied paths of the range", () => {
  const history = new ActivityHistory();
  history.add({ ...deny, path: "old", count: 100 }, START);
  for (let index = 0; index < 200; index++) history.add({ ...deny, path: `p${index % 20}` }, START + 20 * MINUTE);
  history.add({ ...deny, path: "hot", count: 70 }, START + 20 * MINUTE);
  history.add({ effect: "grant", rule: "default", path: "x", count: 9, asked: false }, START + 20 * MINUTE);
  const { rules, denied } = history.overview(5 * MINUTE, START + 21 * MINUTE);
  expect(rules).toEqual([
    { effect: "deny", rule: "keys", count: 270 },
    { effect: "grant", rule: "default", count: 9 },
  ]);
  expect(denied[0]).toEqual({ path: "hot", rule: "keys", count: 70 });
  expect(denied).toHaveLength(10);
  expect(history.overview(60 * MINUTE, START + 21 * MINUTE).denied[0]).toEqual({ path: "old", rule: "keys", count: 100 });
});
