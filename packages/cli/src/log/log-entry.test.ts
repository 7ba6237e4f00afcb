import type { LogItem } from "@sluice/mount-control";
import { expect, test } from "vitest";
import { lineOf } from "./log-entry.js";

const item: LogItem = {
  time: "2026-11-28T13:05:22.123Z",
  mount: "/mnt/view",
  effect: "deny",
  count: 3,
  rule: "no-secrets",
  path: "secrets/token",
  operation: "open",
  accesses: ["read"],
  uid: 1000,
  pid: 42,
  program: "/usr/bin/cat",
  errno: "EACCES",
  reason: "rule 'no-secrets' matches for read",
  source: "cache",
  decision: "d-1",
};

test("a decision is a line with its program, path and rule", () => {
  expect(lineOf(item)).toBe(
    "13:05:22.123Z  deny        3x  read   secrets/token  by no-secrets  /usr/bin/cat (pid 42, uid 1000)  EACCES, from cache",
  );
  expect(lineOf({ ...item, effect: "grant", errno: null, program: null, pid: 0 })).toBe(
    "13:05:22.123Z  grant       3x  read   secrets/token  by no-secrets  a program (pid unknown, uid 1000)  from cache",
  );
});

test("decisions without a name, and those that were not shown, are told", () => {
  expect(lineOf({ ...item, path: null, uid: null, pid: null, program: null })).toBe(
    "13:05:22.123Z  deny        3x  by no-secrets: too many in a second to tell paths and callers",
  );
  expect(lineOf({ missed: 12 })).toBe("... 12 more decisions came too fast to be shown");
});

test("names cannot change the terminal or begin a line", () => {
  const hostile = "a\u001b]0;x\u0007\nb\u009b31m";
  const line = lineOf({ ...item, path: hostile, program: hostile, rule: hostile });
  expect(line).not.toMatch(/\p{Cc}/u);
  expect(line).toContain("a\\033]0;x\\a\\nb");
});
