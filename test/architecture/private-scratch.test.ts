/**
 * The run's scratch directory is private to the run: a program that reads the temporary directory changes no access time of a
 * layer.
 */
import { join } from "node:path";
import { directory, mountSluice, plant, requires, runScript, scratch, startScript, treeHash } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "private scratch directory");

/** A process in the mount namespace of everybody else. */
const OUTSIDE = process.env["SLUICE_TEST_OUTSIDE"] ?? "";
const BASE = join(process.env["SLUICE_TEST_ROOT"] ?? "", "..");
/** The programs of the run lie below BASE, too. */
const fromOutside = (...argv: readonly string[]): string[] => [
  "nsenter",
  "-t",
  OUTSIDE,
  "-m",
  "/usr/bin/env",
  `PATH=${process.env["SLUICE_TEST_PATH"] ?? ""}`,
  ...argv,
];

test("an outside reader of the scratch directory changes no access time of a layer", async () => {
  const lower = plant(scratch(), { "a/b/c": "text", "d/": directory(), e: "text" });
  const before = treeHash(lower);
  // Only the run's own directories: other users' tests may be below the temporary directory, too.
  const reader = startScript(fromOutside("sh", "-c", 'while :; do find "$0" -type f -exec cat {} + >/dev/null; echo read; done', BASE));
  await reader.waitFor("read\n");
  const mount = await mountSluice({ lowers: [lower] });
  expect((await runScript(["cat", mount.path("a/b/c")])).stdout).toBe("text");
  await mount.stop();
  reader.kill();
  expect(treeHash(lower)).toBe(before);
  expect((await runScript(fromOutside("find", BASE))).stdout).toBe(`${BASE}\n`);
});

test("a reader inside changes access times, so it would be seen", async () => {
  const lower = plant(scratch({ on: "tmpfs" }), { "a/b/c": "text" });
  const before = treeHash(lower);
  await runScript(["find", lower]);
  expect(treeHash(lower)).not.toBe(before);
});
