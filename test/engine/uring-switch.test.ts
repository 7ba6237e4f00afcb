/** The kernel has one setting for all runs: the last test that needs io_uring restores it, and none before. */
import { readFileSync } from "node:fs";
import { requires, switchUring } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE over io_uring");
const setting = (): string => readFileSync("/sys/module/fuse/parameters/enable_uring", "latin1").trim();

test("io_uring stays on until each test that turned it on has put it back", () => {
  const putBack = switchUring(false);
  try {
    const [first, second] = [switchUring(true), switchUring(true)];
    first();
    const between = setting();
    second();
    expect([between, setting()]).toEqual(["Y", "N"]);
  } finally {
    putBack();
  }
});
