import { expect, test } from "vitest";
import { RestartRule } from "./restart-rule.js";

const KILLED = { served: true, servedMs: 10, killed: true };
const BROKE = { served: true, servedMs: 10, killed: false };
const NEVER_SERVED = { served: false, servedMs: 0, killed: true };

test("a server that is killed while it serves is replaced at once, as often as it takes", () => {
  const rule = new RestartRule();
  for (let i = 0; i < 1000; i++) expect(rule.next(KILLED)).toEqual({ again: true, pauseMs: 0 });
});

test("gives up a server that cannot start after five attempts, with growing pauses", () => {
  const rule = new RestartRule();
  const pauses = Array.from({ length: 4 }, () => rule.next(NEVER_SERVED));
  expect(pauses.map((each) => each.again && each.pauseMs)).toEqual([50, 100, 200, 400]);
  expect(rule.next(NEVER_SERVED)).toEqual({ again: false });
});

test("gives up a server that breaks as soon as it serves, since the request that breaks it comes again", () => {
  const rule = new RestartRule();
  for (let i = 0; i < 4; i++) expect(rule.next(BROKE).again).toBe(true);
  expect(rule.next(BROKE)).toEqual({ again: false });
});

test("a server that served for a while resets the count", () => {
  const rule = new RestartRule();
  for (let i = 0; i < 100; i++) {
    for (let j = 0; j < 4; j++) expect(rule.next(i % 2 === 0 ? NEVER_SERVED : BROKE).again).toBe(true);
    expect(rule.next({ served: true, servedMs: 5000, killed: false })).toEqual({ again: true, pauseMs: 0 });
  }
});
