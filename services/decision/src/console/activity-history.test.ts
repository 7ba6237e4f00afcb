import { expect, test } from "vitest";
import { ActivityHistory, type CountedDecisions } from "./activity-history.js";

/** The beginning of a step of five minutes. */
const START = 1_800_000_000_000;
const MINUTE = 60_000;
const what = { path: "a.pem", program: "/bin/c\xc3\xa4t", uid: 1000, pid: 7 };
const deny: CountedDecisions = { effect: "deny", rule: "keys", what, count: 1, asked: true, tookUs: 100 };
const shown = { path: "a.pem", rule: "keys", program: "/bin/cät", uid: 1000, pid: 7 };

test("counts decisions by effect and by the origin of their answers, with the times of those that were asked", () => {
  const history = new ActivityHistory();
  history.add(deny, START);
  history.add({ ...deny, tookUs: 900 }, START + 4_999);
  history.add({ effect: "grant", rule: "default", what: { ...what, path: "b" }, count: 8, asked: false }, START + 1_000);
  history.sample({ kernel: 3, daemon: 1, works: [] }, START + 2_000);
  // The step under way is no part of it.
  history.add({ ...deny, count: 500 }, START + 5_000);
  const { times, stepS, effects, asked, cached, p50Us, p99Us, bypass } = history.overview(5 * MINUTE, START + 5_000);
  expect([times.length, stepS, times.at(-1)]).toEqual([60, 5, (START + 5_000) / 1000]);
  expect([effects.deny.at(-1), effects.grant.at(-1), asked.at(-1), cached.at(-1)]).toEqual([0.4, 1.6, 0.4, 1.6]);
  expect([p50Us.at(-1), p99Us.at(-1)]).toEqual([130, 985]);
  expect(bypass.at(-1)).toBe(0.75);
  expect([effects.deny.at(-2), p50Us.at(-2), bypass.at(-2)]).toEqual([0, null, null]);
});

test("tells the rates of opens and bytes of all mounts together, and nothing of a step without a sample", () => {
  const history = new ActivityHistory();
  const one = { seconds: 4, opens: { passthrough: 16, mediated: 2 }, readBytes: 6e9, writtenBytes: 40 };
  const other = { seconds: 6, opens: { mediated: 3 }, readBytes: 3e9, writtenBytes: 0 };
  history.sample({ kernel: 0, daemon: 0, works: [one, other] }, START);
  const { bypassOpens, bypass, read, written } = history.overview(5 * MINUTE, START + 5_000);
  expect([bypassOpens.at(-1), bypass.at(-1), read.at(-1), written.at(-1)]).toEqual([0.8, null, 2e9, 10]);
  expect([bypassOpens.at(-2), read.at(-2), written.at(-2)]).toEqual([null, null, null]);
  // Two samples of one step, and a longer step: rates are their mean.
  history.sample({ kernel: 0, daemon: 0, works: [] }, START + 4_999);
  expect(history.overview(5 * MINUTE, START + 5_000).read.at(-1)).toBe(1e9);
  // A day later the same row is another step.
  const { read: later } = history.overview(5 * MINUTE, START + 24 * 60 * MINUTE + 5_000);
  expect(later.at(-1)).toBeNull();
});

test("keeps a day, in points of a longer step, and forgets the day before", () => {
  const history = new ActivityHistory();
  history.add({ ...deny, count: 600 }, START);
  const day = history.overview(24 * 60 * MINUTE, START + 20 * 60 * MINUTE);
  expect(day.times.length).toBeLessThanOrEqual(300);
  expect(Math.round(day.effects.deny.reduce((sum, rate) => sum + rate * day.stepS, 0))).toBe(600);
  expect(day.denied).toEqual([{ ...shown, count: 600 }]);
  const next = START + 24 * 60 * MINUTE;
  history.add({ ...deny, count: 1, what: undefined }, next);
  const { effects, stepS, denied } = history.overview(24 * 60 * MINUTE, next + 10 * MINUTE);
  expect(Math.round(effects.deny.reduce((sum, rate) => sum + rate * stepS, 0))).toBe(1);
  expect(denied).toEqual([]);
});

test("names the most frequent rules and denied paths of the range", () => {
  const history = new ActivityHistory();
  history.add({ ...deny, what: { ...what, path: "old" }, count: 100 }, START);
  for (let index = 0; index < 200; index++) history.add({ ...deny, what: { ...what, path: `p${index % 20}` } }, START + 20 * MINUTE);
  history.add({ ...deny, what: { ...what, path: "hot", pid: 8 }, count: 69 }, START + 20 * MINUTE);
  history.add({ ...deny, what: { ...what, path: "hot", pid: 9 }, count: 1 }, START + 20 * MINUTE);
  history.add({ effect: "grant", rule: "default", what: { ...what, path: "x" }, count: 9, asked: false }, START + 20 * MINUTE);
  const { rules, denied } = history.overview(5 * MINUTE, START + 21 * MINUTE);
  expect(rules).toEqual([
    { effect: "deny", rule: "keys", count: 270 },
    { effect: "grant", rule: "default", count: 9 },
  ]);
  expect(denied[0]).toEqual({ ...shown, path: "hot", pid: 9, count: 70 });
  expect(denied).toHaveLength(10);
  expect(history.overview(60 * MINUTE, START + 21 * MINUTE).denied[0]).toEqual({ ...shown, path: "old", count: 100 });
});
