/**
 * Whiteouts are links of one inode, as with kernel overlayfs (xfstests' overlay/073): removing a tree costs no inodes of the
 * upper file system.
 */
import { lstatSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { native } from "@sluice/native";
import {
  mountKernelOverlay,
  mountSluice,
  mountsShareProcess,
  plant,
  requires,
  runScript,
  scratch,
  unmountKernelOverlay,
} from "@sluice/testkit";
import { AT } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "kernel overlayfs", "CAP_SYS_ADMIN");
/** The limit of ext4; other file systems allow more. */
const MOST_LINKS = 65_000;

function layers(names: readonly string[]): { lowers: [string]; upper: string; work: string } {
  const base = scratch();
  for (const name of ["upper", "work"]) mkdirSync(join(base, name));
  const lower = plant(scratch(), Object.fromEntries(names.map((name) => [name, "1"])));
  return { lowers: [lower], upper: join(base, "upper"), work: join(base, "work") };
}

function whiteouts(upper: string): { name: string; nlink: number; ino: number; rdev: number }[] {
  return readdirSync(upper)
    .sort()
    .map((name) => {
      const { nlink, ino, rdev } = lstatSync(join(upper, name));
      return { name, nlink, ino, rdev };
    });
}

async function run(script: string, cwd: string): Promise<string> {
  return (await runScript(["sh", "-c", `exec 2>&1; ${script}`], { cwd, env: { LC_ALL: "C" } })).stdout;
}

test("removed names share a whiteout with as many links as with kernel overlayfs", async () => {
  const names = ["a", "b", "d/x", "e/y", "moved"];
  const script = "rm a b; rm -r d e; mv moved away; ls";
  const [ours, theirs] = [layers(names), layers(names)];
  const mountpoint = mountKernelOverlay({ ...theirs, options: "index=on" });
  expect(await run(script, mountpoint)).toBe("away\n");
  unmountKernelOverlay(mountpoint);
  const mount = await mountSluice({ ...ours, args: ["-o", "index=on"] });
  expect(await run(script, mount.mountpoint)).toBe("away\n");
  await mount.stop();
  const counts = (upper: string): string[] => whiteouts(upper).map(({ name, nlink, rdev }) => `${name} ${rdev} ${nlink}`);
  // The kernel leaves its own link in the work directory.
  expect(counts(ours.upper)).toEqual(counts(theirs.upper).map((line) => line.replace(/ 5$/, " 4")));
  expect(readdirSync(join(ours.work, "work")).filter((name) => name.startsWith("#"))).toEqual([]);
});

test("starts another whiteout when one has as many links as the file system allows", async () => {
  const { lowers, upper, work } = layers(["a", "b", "c", "d"]);
  const mount = await mountSluice({ lowers, upper, work });
  expect(await run("rm a", mount.mountpoint)).toBe("");
  const spare = join(upper, "..", "spare");
  mkdirSync(spare);
  let status = 0;
  for (let links = 2; status === 0 && links < MOST_LINKS; links++) {
    status = native.linkat(AT.FDCWD, join(upper, "a"), AT.FDCWD, join(spare, String(links)), 0);
  }
  const full = native.linkat(AT.FDCWD, join(upper, "a"), AT.FDCWD, join(spare, "full"), 0) < 0;
  expect(await run("rm b c d; ls", mount.mountpoint)).toBe("");
  await mount.stop();
  const left = whiteouts(upper);
  expect(left.map(({ name, rdev }) => [name, rdev])).toEqual(["a", "b", "c", "d"].map((name) => [name, 0]));
  // The full one is renamed to b itself.
  expect(new Set(left.map(({ ino }) => ino)).size).toBe(full ? 2 : 1);
});
