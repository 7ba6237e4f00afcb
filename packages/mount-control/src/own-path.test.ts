import { existsSync, mkdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { ownPath } from "./own-path.js";

test("what was made is removed", () => {
  const path = join(scratch(), "run");
  mkdirSync(path);
  const remove = ownPath(path, rmdirSync);
  remove();
  expect(existsSync(path)).toBe(false);
});

test("what another process put in its place stays", () => {
  const path = join(scratch(), "run");
  mkdirSync(path);
  const remove = ownPath(path, rmdirSync);
  mkdirSync(`${path}.next`);
  rmSync(path, { recursive: true });
  renameSync(`${path}.next`, path);
  remove();
  expect(existsSync(path)).toBe(true);
});
