import { expect, test } from "vitest";
import { unlessKilled } from "./unless-killed.js";

test("stops in the middle for a caller who is killed, and lets the work clean up", () => {
  let closed = false;
  function* endless(): Generator<void, number> {
    try {
      for (;;) yield;
    } finally {
      closed = true;
    }
  }
  const abort = new AbortController();
  // No process of this number: whoever waited is gone.
  const steps = unlessKilled({ pid: 0x7fff_fff0, uid: 0, gid: 0, groups: undefined, signal: abort.signal }, endless());
  steps.next(false);
  steps.next(true);
  abort.abort();
  expect(closed).toBe(false);
  expect(() => steps.next(false)).toThrow("EINTR");
  expect(closed).toBe(true);
});
