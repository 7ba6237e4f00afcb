import { expect, test } from "vitest";
import { everyThreadIsUser, everyThreadWithin, native } from "../index.js";

const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
const groups = process.getgroups?.() ?? [];
const ALL = (1n << 41n) - 1n;

test("a process that may still get privileges has not become a user", () => {
  // The runner has no no_new_privs, or it is root with capabilities.
  expect(everyThreadIsUser(uid, gid, groups)).toBe(false);
  expect(everyThreadIsUser(uid + 1, gid, groups)).toBe(false);
});

test("a thread beyond the mask is noticed", () => {
  if (native.effectiveCapabilities() !== 0n) expect(everyThreadWithin(0n)).toBe(false);
  expect(everyThreadWithin(ALL)).toBe(/^NoNewPrivs:\s+1$/m.test(statusOfSelf()));
});

function statusOfSelf(): string {
  return process.getBuiltinModule("node:fs").readFileSync("/proc/self/status", "latin1");
}
