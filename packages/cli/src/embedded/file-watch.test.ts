import { renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { requires, scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { FileWatch } from "./file-watch.js";
import { openToWatch } from "./open-policy-file.js";

const { test: onCoarseTimes } = requires("CAP_SYS_ADMIN", "loop devices", "command mkfs.ext4");

test("every way to write a file is seen at once, and a file at rest comes to rest", async () => {
  const file = join(scratch(), "policy");
  writeFileSync(file, "one");
  const watch = new FileWatch(file, openToWatch);
  const touched = (): boolean => watch.touched();
  const atRest = async (): Promise<void> => expect.poll(touched, { interval: 20 }).toBe(false);
  expect(touched()).toBe(true);
  await atRest();
  writeFileSync(file, "two");
  expect(touched()).toBe(true);
  await atRest();
  writeFileSync(`${file}.new`, "six");
  renameSync(`${file}.new`, file);
  expect(touched()).toBe(true);
  await atRest();
  rmSync(file);
  expect(touched()).toBe(true);
  await atRest();
});

onCoarseTimes("a file is at rest only after the second of its last change if its times are whole seconds", async () => {
  const file = join(scratch({ on: "coarse-loop", sizeMb: 16 }), "policy");
  await expect.poll(() => Date.now() % 1_000, { interval: 5 }).toBeLessThan(100);
  writeFileSync(file, "one");
  const { ctimeMs } = statSync(file);
  const watch = new FileWatch(file, openToWatch);
  let restsAtMs = Number.POSITIVE_INFINITY;
  await expect.poll(() => (watch.touched() ? 0 : (restsAtMs = Date.now())), { interval: 20 }).toBeGreaterThan(0);
  expect(restsAtMs).toBeGreaterThanOrEqual(ctimeMs + 1_000);
});
