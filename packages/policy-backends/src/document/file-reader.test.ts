import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { FileReader } from "./file-reader.js";
import { OWN_DISK } from "./policy-disk.js";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "sluice-disk-"));
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(directory, { recursive: true });
});

it("names a pipe without a writer as no regular file, and does not wait for one", () => {
  const path = join(directory, "policy.yaml");
  execFileSync("mkfifo", [path]);
  expect(() => new FileReader().read(path, 100)).toThrow("it is no regular file, but a pipe, a socket or a device (EINVAL): put a regular");
});

it("names a device as no regular file, and a directory as one", () => {
  expect(() => new FileReader().read("/dev/zero", 100)).toThrow("(EINVAL)");
  expect(() => new FileReader().read(directory, 1e6)).toThrow("it is a directory (EISDIR)");
});

it("notices that a file cannot be read for another reason", () => {
  let problem = "ENOENT";
  const disk = {
    ...OWN_DISK,
    stat: () => undefined,
    problem: () => problem,
    read: () => {
      throw Object.assign(new Error(problem), { code: problem });
    },
  };
  const reader = new FileReader(disk);
  expect(() => reader.read("policy.yaml", 10)).toThrow("ENOENT");
  expect(reader.changed()).toBe(false);
  problem = "EINVAL";
  expect(reader.changed()).toBe(true);
});

it("notices a second edit within a second of a file system that keeps times in whole seconds", () => {
  let text = "grant";
  const changedMs = 1_700_000_000_000;
  vi.useFakeTimers({ now: changedMs + 500, toFake: ["Date"] });
  const stats = { dev: 1, ino: 1, size: 5, mtimeMs: changedMs, ctimeMs: changedMs, isDirectory: () => false };
  const reader = new FileReader({ ...OWN_DISK, stat: () => stats, read: () => Buffer.from(text) });
  reader.read("policy.yaml", 10);
  expect(reader.changed()).toBe(false);
  text = "deny ";
  expect(reader.changed()).toBe(true);
});
