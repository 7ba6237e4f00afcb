import { expect, test } from "vitest";
import { daemonHoldsLocks } from "./choose-locks.js";

const none = { kind: "none" } as const;
const policy = { kind: "embedded", policyFile: "/p" } as const;

test.each([
  ["an upper layer", { upper: "/u", decision: none }, true],
  ["a policy", { upper: undefined, decision: policy }, true],
  ["neither", { upper: undefined, decision: none }, false],
] as const)("with %s a file can have two inodes: %s", (_what, config, expected) => {
  expect(daemonHoldsLocks({ ...config, locks: "auto" }, () => true)).toBe(expected);
  expect(daemonHoldsLocks({ ...config, locks: "kernel" }, () => true)).toBe(false);
  expect(daemonHoldsLocks({ ...config, locks: "daemon" }, () => true)).toBe(true);
});

test("leaves locks to the kernel if callers are invisible, since it would refuse every lock", () => {
  expect(daemonHoldsLocks({ upper: "/u", decision: policy, locks: "auto" }, () => false)).toBe(false);
  expect(daemonHoldsLocks({ upper: "/u", decision: policy, locks: "daemon" }, () => false)).toBe(true);
});
