import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { ownPath } from "./own-path.js";

test("what was made is removed with all that is in it", () => {
  const path = join(scratch(), "run");
  mkdirSync(path);
  const remove = ownPath(path);
  writeFileSync(join(path, "control.sock"), "");
  remove();
  expect(existsSync(path)).toBe(false);
});

test("what another process put in its place stays", () => {
  const path = join(scratch(), "run");
  mkdirSync(path);
  const remove = ownPath(path);
  mkdirSync(`${path}.next`);
  rmSync(path, { recursive: true });
  renameSync(`${path}.next`, path);
  remove();
  expect(existsSync(path)).toBe(true);
});
