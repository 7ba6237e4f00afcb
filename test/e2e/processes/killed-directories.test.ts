/** Directories of sockets, as in /run/sluice, after their processes were killed: the next process that serves removes them. */
import { existsSync, mkdirSync, rmSync, symlinkSync, utimesSync } from "node:fs";
import { basename, join } from "node:path";
import { runDirectories } from "@sluice/mount-control";
import {
  cleanUp,
  eventually,
  file,
  mountSluice,
  plant,
  requires,
  runScript,
  runSluice,
  scratch,
  socket,
  startHostService,
} from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const PATIENCE_MS = 60_000;

/** Of a mount that ran an hour ago, and was killed. */
function leftBehind(base: string): string {
  const directory = join(base, basename(runDirectories(scratch())[0] ?? ""));
  cleanUp(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const then = Date.now() / 1000 - 3600;
  utimesSync(directory, then, then);
  return directory;
}

test("a mount that goes on for some seconds removes directories of killed mounts, and keeps those of live ones", async () => {
  const older = await mountSluice({ lowers: [plant(scratch(), { word: file("x") })], ownProcess: true });
  const [live = ""] = runDirectories(older.mountpoint);
  utimesSync(live, 0, 0);
  // No other process of the machine looks there.
  const runtime = scratch();
  const dead = leftBehind(join(runtime, "sluice"));
  await mountSluice({ lowers: [plant(scratch(), {})], env: { XDG_RUNTIME_DIR: runtime } });
  await eventually("the dead directory is gone", PATIENCE_MS, () => !existsSync(dead));
  expect(existsSync(live)).toBe(true);
  expect((await runSluice(["status", older.mountpoint])).code).toBe(0);
});

test("a directory that leads into the mount of the process that looks is kept, and holds nobody up", async () => {
  const [runtime, mountpoint] = [scratch(), scratch()];
  const base = join(runtime, "sluice");
  const [inside, dead] = [leftBehind(base), leftBehind(base)];
  symlinkSync(join(mountpoint, "deep/control.sock"), join(inside, "control.sock"));
  utimesSync(inside, 0, 0);
  const lower = plant(scratch(), { word: file("x"), "deep/control.sock": socket() });
  const mount = await mountSluice({ lowers: [lower], mountpoint, ownProcess: true, env: { XDG_RUNTIME_DIR: runtime } });
  await eventually("the dead directory is gone", PATIENCE_MS, () => !existsSync(dead));
  expect((await runScript(["cat", mount.path("word")])).stdout).toBe("x");
  expect(existsSync(inside)).toBe(true);
  expect((await runSluice(["status", mountpoint])).code).toBe(0);
});

test("a host service removes directories of killed mounts", async () => {
  // No other process of the machine looks there.
  const runtime = scratch();
  const dead = leftBehind(join(runtime, "sluice"));
  await startHostService([], { env: { XDG_RUNTIME_DIR: runtime } });
  await eventually("the dead directory is gone", PATIENCE_MS, () => !existsSync(dead));
});
