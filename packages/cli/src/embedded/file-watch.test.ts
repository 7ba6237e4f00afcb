import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { FileWatch } from "./file-watch.js";
import { openToWatch } from "./open-policy-file.js";

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
