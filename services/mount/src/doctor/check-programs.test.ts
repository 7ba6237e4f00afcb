import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { checkPrograms } from "./check-programs.js";

const path = process.env["PATH"];
afterEach(() => {
  process.env["PATH"] = path;
});

test("a machine without bubblewrap and fuse3 gets the cost and the package of each", () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-path-"));
  try {
    process.env["PATH"] = directory;
    const results = checkPrograms();
    expect(results.map(({ name, state }) => [name, state])).toEqual([
      ["bubblewrap", "limit"],
      ["fuse3", "limit"],
    ]);
    expect(results[0]?.detail).toContain("'sluice run'");
    expect(results[1]?.remedy).toContain("apt install fuse3");
    // With or without it, a mount needs CAP_SYS_ADMIN.
    expect(results[1]?.detail).toMatch(/not installed: a killed server .* leaves a dead mount/);
    writeFileSync(join(directory, "fusermount3"), "", { mode: 0o755 });
    expect(checkPrograms().map(({ state }) => state)).toEqual(["limit", "ok"]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a bubblewrap that makes no sandbox here gets its own error, and the cost", () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-path-"));
  try {
    process.env["PATH"] = directory;
    writeFileSync(join(directory, "bwrap"), "#!/bin/sh\necho bwrap: No permissions to create new namespace >&2\nexit 1\n", { mode: 0o755 });
    const [bubblewrap] = checkPrograms();
    expect(bubblewrap).toMatchObject({ name: "bubblewrap", state: "limit" });
    expect(bubblewrap?.detail).toMatch(/No permissions to create new namespace.*'sluice run' has no sandbox/);
    expect(bubblewrap?.remedy).toMatch(/namespaces/);
    // A program of the working directory is not started.
    process.env["PATH"] = ".";
    const before = process.cwd();
    process.chdir(directory);
    try {
      expect(checkPrograms()[0]?.detail).toContain("relative directory");
    } finally {
      process.chdir(before);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
