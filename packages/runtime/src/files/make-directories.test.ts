import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { makeDirectories } from "./make-directories.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-directories-"));
afterAll(() => rmSync(directory, { recursive: true }));

it("makes all directories of a path with the mode, and takes those that are there", () => {
  const path = join(directory, "a/b/c");
  makeDirectories(path, 0o700);
  makeDirectories(path, 0o755);
  expect(statSync(path).mode & 0o777).toBe(0o700);
  expect(statSync(join(directory, "a")).mode & 0o777).toBe(0o700);
  symlinkSync(path, join(directory, "link"));
  makeDirectories(join(directory, "link/d"));
  expect(statSync(join(path, "d")).isDirectory()).toBe(true);
});

it("fails if no directory can be made, also below /proc", () => {
  writeFileSync(join(directory, "file"), "");
  symlinkSync("nowhere", join(directory, "dangling"));
  for (const [path, code] of [
    ["/proc/sluice/a", "ENOENT"],
    [join(directory, "file"), "EEXIST"],
    [join(directory, "file/a"), "ENOTDIR"],
    [join(directory, "dangling"), "EEXIST"],
    [join(directory, "dangling/a"), "EEXIST"],
    ["", "ENOENT"],
  ] as const)
    expect(() => makeDirectories(path), path).toThrow(expect.objectContaining({ code }));
});
