/**
 * A copy-up reaches the disk before it is visible. The test checks the order of the system calls, since a killed daemon does
 * not lose the page cache.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { mountSluice, plant, requires, scratch } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command strace");

/** The names of the system calls of one copy-up, in order. */
async function callsOfCopyUp(args: readonly string[]): Promise<string[]> {
  const lower = plant(scratch(), { f: "content" });
  const mount = await mountSluice({ lowers: [lower], upper: scratch(), args });
  const trace = join(scratch(), "trace");
  const calls = "trace=fsync,fdatasync,renameat2";
  const strace = spawn("strace", ["-f", "-p", String(mount.serverPid), "-e", calls, "-o", trace], { stdio: ["ignore", "ignore", "pipe"] });
  await new Promise((resolve) => strace.stderr.once("data", resolve));
  await appendFile(mount.path("f"), "+");
  strace.kill("SIGINT");
  await new Promise((resolve) => strace.once("exit", resolve));
  await mount.stop();
  return [...readFileSync(trace, "utf8").matchAll(/^\d+ +(\w+)\(/gm)].map(([, call]) => call as string);
}

test("syncs data and attributes before it renames the copy into place", async () => {
  expect(await callsOfCopyUp([])).toEqual(["fsync", "renameat2"]);
});

test("a volatile mount does not sync a copy", async () => {
  expect(await callsOfCopyUp(["-o", "volatile"])).toEqual(["renameat2"]);
});
