/** A keeper that starts with few descriptors fails with a sentence about them, and leaves no directory for its sockets. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runDirectories } from "@sluice/mount-control";
import { bytes, file, mountsBelow, plant, requires, runScript, scratch, type ScriptResult, startScript } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command prlimit");
const LIMIT_MS = 60_000;
const CLI = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));
const COUNTS = [20, 21, 22, 23, 24, 26, 28, 30];

function sluiceWith(descriptors: number, ...words: readonly string[]): Promise<ScriptResult> {
  const script = 'ulimit -n "$1"; shift; exec "$@"';
  return runScript(["sh", "-c", script, "sh", `${descriptors}`, process.execPath, CLI, ...words], { timeoutMs: LIMIT_MS });
}

/** Whether it failed. If not, the mount is taken away. */
async function failsCleanly(descriptors: number, mountpoint: string): Promise<boolean> {
  const words = ["mount", "--background", "--log-file", "/dev/null", "--keeper", "on", "--lower", plant(scratch(), { a: file("a") })];
  const { code, stderr } = await sluiceWith(descriptors, ...words, mountpoint);
  if (code === 0) {
    expect(await runScript([process.execPath, CLI, "unmount", mountpoint])).toMatchObject({ code: 0 });
    return false;
  }
  expect(mountsBelow(bytes(mountpoint))).toEqual([]);
  expect(runDirectories(mountpoint).filter((path) => existsSync(path))).toEqual([]);
  expect(stderr).toContain("EMFILE");
  expect(stderr).not.toContain("was removed");
  return true;
}

test("a mount with a keeper and too few descriptors says so, and leaves no directory of sockets", async () => {
  const mountpoint = scratch();
  const failed: boolean[] = [];
  for (const count of COUNTS) failed.push(await failsCleanly(count, mountpoint));
  expect(failed).toContain(true);
});

/** A mount of a server of few descriptors, with as many open files as it gives. */
async function crowded(mountpoint: string): Promise<void> {
  const names = Array.from({ length: 60 }, (_none, at) => `f${at}`);
  const lower = plant(scratch(), Object.fromEntries(names.map((name) => [name, file("x")])));
  const upper = scratch();
  const [above, work] = [join(upper, "upper"), join(upper, "work")];
  for (const directory of [above, work]) mkdirSync(directory);
  const words = ["mount", "--background", "--log-file", "/dev/null", "--keeper", "off", "--lower", lower, "--upper", above, "--work", work];
  expect(await sluiceWith(60, ...words, mountpoint)).toMatchObject({ code: 0 });
  // Files that were open stay in its cache.
  await runScript(["sh", "-c", 'cd "$1" && for name in *; do exec 9<"$name"; done; true', "sh", mountpoint]);
  const holder = startScript(`const { openSync } = await import("node:fs");
    const seen = new Set();
    for (const flags of ["r", "w+", "r"]) for (const name of ${JSON.stringify(names)}) {
      try { openSync("${mountpoint}/" + (flags === "r" ? name : "new-" + name), flags); } catch (error) { seen.add(error.code); }
    }
    console.log("held", ...seen);
    setInterval(() => undefined, 1000);`);
  await holder.waitFor("held");
  expect(holder.stdout()).toContain("EMFILE");
}

test("callers who open as many files as they may leave the server descriptors for commands that look at the mount and end it", async () => {
  const mountpoint = scratch();
  await crowded(mountpoint);
  const status = await runScript([process.execPath, CLI, "status", mountpoint], { timeoutMs: LIMIT_MS });
  expect(status).toMatchObject({ code: 0 });
  expect((await runScript([process.execPath, CLI, "unmount", mountpoint], { timeoutMs: LIMIT_MS })).stderr).toContain("EBUSY");
  const ended = await runScript([process.execPath, CLI, "unmount", "--force", mountpoint], { timeoutMs: LIMIT_MS });
  expect(ended).toMatchObject({ code: 0 });
  expect(mountsBelow(bytes(mountpoint))).toEqual([]);
});

test("a server without a descriptor for a connection is not taken for one that has ended, and --force takes its mount away", async () => {
  const mountpoint = scratch();
  await crowded(mountpoint);
  const { stdout } = await runScript([process.execPath, CLI, "status", "--json", mountpoint], { timeoutMs: LIMIT_MS });
  const { pid } = JSON.parse(stdout) as { pid: number };
  // All numbers below that are taken: it has no room for callers, nor for itself.
  expect(await runScript(["prlimit", `--pid=${pid}`, "--nofile=45"])).toMatchObject({ code: 0 });
  const lives = /the daemon lives, and closes connections unanswered \(EPIPE\): if its limit of open files is reached/;
  for (const command of ["status", "unmount"])
    expect((await runScript([process.execPath, CLI, command, mountpoint], { timeoutMs: LIMIT_MS })).stderr).toMatch(lives);
  expect(await runScript([process.execPath, CLI, "unmount", "--force", mountpoint], { timeoutMs: LIMIT_MS })).toMatchObject({ code: 0 });
  expect(mountsBelow(bytes(mountpoint))).toEqual([]);
});

test("a host service with a keeper and too few descriptors leaves neither its socket nor a directory of sockets", async () => {
  const failed = new Set<boolean>();
  for (const count of COUNTS) {
    const socket = join(scratch(), "host.sock");
    const { code, stderr } = await sluiceWith(count, "serve", "--keeper", "on", "--socket", socket);
    failed.add(code !== 0);
    expect(stderr).not.toContain("was removed");
    expect([socket, ...runDirectories(socket)].filter((path) => existsSync(path))).toEqual([]);
    if (stderr.includes("the keeper cannot be started")) break;
  }
  expect(failed).toEqual(new Set([true]));
});
