/**
 * A user copies objects in the upper layer between two mounts (`cp -a`): the copies carry the marks of the originals. Two
 * objects with one inode number are one file to diff, tar and rsync. Kernel overlayfs does not show the second one (ESTALE).
 */
import { execFileSync } from "node:child_process";
import { closeSync, lstatSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
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
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "kernel overlayfs", "CAP_SYS_ADMIN");
const NAMES = ["dir", "dir1", "dir2", "file", "file1", "file2", "dir/f", "dir1/f", "dir2/f"];

/**
 * The upper layer after renames in a kernel mount, with each result copied once more. Lower names reappear if their whiteouts
 * go.
 */
function copied(keep: { whiteouts: boolean }): { lowers: [string]; upper: string; work: string } {
  const layers = { lowers: [plant(scratch(), { "dir/f": "right\n", file: "right\n" })] as [string], upper: scratch(), work: scratch() };
  const { upper } = layers;
  const mountpoint = mountKernelOverlay({ ...layers, options: "redirect_dir=on,index=off" });
  const script = "touch dir/f file; mv dir dir1; mv file file1";
  execFileSync("sh", ["-c", script], { cwd: mountpoint });
  unmountKernelOverlay(mountpoint);
  execFileSync("sh", ["-c", "cp -a dir1 dir2; cp -a file1 file2; echo wrong >> dir2/f; echo wrong >> file2"], { cwd: upper });
  if (!keep.whiteouts) for (const name of ["dir", "file"]) rmSync(join(upper, name));
  return layers;
}

/** Name → inode number, read by a child in the order of the names. */
async function numbers(mountpoint: string, names: readonly string[]): Promise<Map<string, string>> {
  const { stdout } = await runScript(["stat", "-c", "%n %i", ...names], { cwd: mountpoint, env: { LC_ALL: "C" } });
  return new Map(
    stdout
      .trim()
      .split("\n")
      .map((line) => line.split(" ") as [string, string]),
  );
}

for (const index of ["on", "off"]) {
  for (const whiteouts of [true, false]) {
    for (const order of ["forwards", "backwards"]) {
      test(`copies of marked objects have their own numbers: index=${index}, ${whiteouts ? "" : "without "}whiteouts, seen ${order}`, async () => {
        const layers = copied({ whiteouts });
        const there = whiteouts ? NAMES.filter((name) => !/^(dir|file)($|\/)/.test(name)) : NAMES;
        const mount = await mountSluice({ ...layers, args: ["-o", `redirect_dir=on,index=${index}`] });
        const names = order === "forwards" ? there : there.toReversed();
        // The first look, in this order. Whatever else drops the kernel's caches meanwhile, an open object is not forgotten.
        const open = names.map((name) => openSync(join(mount.mountpoint, name), "r"));
        const seen = await numbers(mount.mountpoint, names);
        expect([...seen.keys()]).toEqual(names);
        expect(new Set(seen.values()).size).toBe(names.length);
        const again = await numbers(mount.mountpoint, names.toReversed());
        expect(again).toEqual(seen);
        expect((await runScript(["diff", "file1", "file2"], { cwd: mount.mountpoint })).stdout).toContain("> wrong");
        expect((await runScript(["diff", "dir1", "dir2"], { cwd: mount.mountpoint })).stdout).toContain("> wrong");
        for (const fd of open) closeSync(fd);
        await mount.stop();
      });
    }
  }
}

test("a copied-up file without a copy keeps its number over a remount, renamed or not", async () => {
  const lower = plant(scratch(), { f: "1", g: "2" });
  const layers = { lowers: [lower] as [string], upper: scratch(), work: scratch() };
  const first = await mountSluice(layers);
  await runScript(["sh", "-c", "touch f g; mv g h"], { cwd: first.mountpoint });
  await first.stop();
  const second = await mountSluice(layers);
  const seen = await numbers(second.mountpoint, ["f", "h"]);
  expect([seen.get("f"), seen.get("h")]).toEqual(["f", "g"].map((name) => String(lstatSync(join(lower, name)).ino)));
  await second.stop();
});
