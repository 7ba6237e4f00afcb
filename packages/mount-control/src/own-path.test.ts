import { existsSync, mkdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { ownPath } from "./own-path.js";

test("removes the file that it created", () => {
  const path = join(scratch(), "run");
  mkdirSync(path);
  const remove = ownPath(path, rmdirSync);
  remove();
  expect(existsSync(path)).toBe(false);
});

test("keeps the file that another process put in its place", () => {
  const path = join(scratch(), "run");
  mkdirSync(path);
  const remove = ownPath(path, rmdirSync);
  mkdirSync(`${path}.next`);
  rmSync(path, { recursive: true });
  renameSync(`${path}.next`, path);
  remove();
  expect(existsSync(path)).toBe(true);
});
