import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { expect, test } from "vitest";
import { holdingSignals } from "./hold-signals.js";

const blocked = (): bigint => BigInt(`0x${/^SigBlk:\t(\w+)$/m.exec(readFileSync("/proc/thread-self/status", "utf8"))?.[1]}`);

test("the process' signals are held while it starts something, those of a thread's own doing are not, and all is as before then", () => {
  const before = blocked();
  const held = holdingSignals(blocked);
  const has = (name: NodeJS.Signals): boolean => (held & (1n << BigInt(constants.signals[name] - 1))) !== 0n;
  expect((["SIGCHLD", "SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const).filter((name) => !has(name))).toEqual([]);
  expect((["SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGABRT", "SIGSYS"] as const).filter(has)).toEqual([]);
  expect(blocked()).toBe(before);
});

test("signals are released if the start fails", () => {
  const before = blocked();
  expect(() =>
    holdingSignals(() => {
      throw new Error("not today");
    }),
  ).toThrow("not today");
  expect(blocked()).toBe(before);
});
