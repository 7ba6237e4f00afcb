/**
 * The scratch directory has no inherited ACL, the upper layer must accept whiteouts unless its disk is full, and a directory loses its mark with its
 * reason, as with kernel overlayfs.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, rmSync, statfsSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { check, native } from "@sluice/native";
import {
  mountKernelOverlay,
  mountSluice,
  mountsShareProcess,
  plant,
  requires,
  runSluice,
  scratch,
  unmountKernelOverlay,
} from "@sluice/testkit";
import { AT } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs");

const DEFAULT_ACL = "system.posix_acl_default";
/** Everybody may do everything: struct posix_acl_xattr_header, and entries of tag, permissions and id. */
const FOR_ALL = Buffer.from("0200000001000700ffffffff04000700ffffffff20000700ffffffff", "hex");
const value = Buffer.alloc(256);

function xattr(path: string, name: string): string | undefined {
  const length = native.getxattrat(AT.FDCWD, path, name, value);
  return length < 0 ? undefined : value.toString("latin1", 0, length);
}

test("the scratch directory and the objects in it inherit no ACL of the workdir", async () => {
  const lower = plant(scratch(), { "d/f": "f", gone: "gone" });
  for (const make of ["kernel", "sluice"]) {
    const [upper, work] = [scratch(), scratch()];
    check(native.setxattrat(AT.FDCWD, work, DEFAULT_ACL, FOR_ALL, 0), "set an ACL");
    const mounted = make === "kernel" ? undefined : await mountSluice({ lowers: [lower], upper, work });
    const at = mounted?.mountpoint ?? mountKernelOverlay({ lowers: [lower], upper, work });
    writeFileSync(join(at, "d/f"), "changed");
    unlinkSync(join(at, "gone"));
    mkdirSync(join(at, "gone"));
    const left = ["work", "index"].map((name) => xattr(join(work, name), DEFAULT_ACL));
    const made = ["d", "gone"].map((name) => [statSync(join(upper, name)).mode, xattr(join(upper, name), DEFAULT_ACL)]);
    expect([make, statSync(join(work, "work")).mode & 0o7777, left[0], made]).toEqual([
      make,
      0,
      undefined,
      [
        [0o40755, undefined],
        [0o40755, undefined],
      ],
    ]);
    if (mounted === undefined) unmountKernelOverlay(at);
    else await mounted.stop();
  }
});

test("refuses an upper layer on another overlay, which makes no whiteouts", async () => {
  const lower = plant(scratch(), { f: "f" });
  const [upper, mnt] = [scratch(), scratch()];
  for (const name of ["upper", "work"]) mkdirSync(join(upper, name));
  const refuse = async (overlay: string): Promise<void> => {
    const args = ["--upper", join(overlay, "upper"), "--work", join(overlay, "work")];
    const refused = await runSluice(["mount", "--lower", lower, ...args, mnt]);
    const complaint =
      /^sluice: .*: its file system takes no whiteouts, as another overlay does not \(EPERM\): choose other layers or options\n$/;
    expect(refused).toMatchObject({ code: 4, stderr: expect.stringMatching(complaint) });
  };
  const overlay = mountKernelOverlay({ lowers: [lower], upper, work: scratch() });
  await refuse(overlay);
  unmountKernelOverlay(overlay);
  const sluice = await mountSluice({ lowers: [lower], upper, work: scratch() });
  await refuse(sluice.mountpoint);
  expect((await sluice.stop()).code).toBe(0);
});

test("mounts an upper layer on a full disk, where files can be removed then", async () => {
  const [lower, disk] = [plant(scratch(), { f: "f" }), scratch({ on: "tmpfs", sizeMb: 4 })];
  for (const name of ["upper", "work"]) mkdirSync(join(disk, name));
  const made = { lowers: [lower], upper: join(disk, "upper"), work: join(disk, "work") };
  const first = await mountSluice(made);
  for (const name of ["new", "newer", "newest"]) writeFileSync(first.path(name), "");
  expect((await first.stop()).code).toBe(0);
  rmSync(join(disk, "work/work/handles"), { force: true });
  const { files, ffree } = statfsSync(disk);
  execFileSync("mount", ["-o", `remount,nr_inodes=${files - ffree}`, disk]);
  expect(errorOf(() => writeFileSync(join(disk, "more"), ""))).toBe("ENOSPC");
  const mount = await mountSluice(made);
  expect(errorOf(() => unlinkSync(mount.path("f")))).toBe("ENOSPC");
  for (const name of ["new", "newer", "newest"]) unlinkSync(mount.path(name));
  // The file system counts an inode until its last descriptor is closed.
  await expect.poll(() => errorOf(() => unlinkSync(mount.path("f")))).toBeUndefined();
  expect(readdirSync(mount.mountpoint)).toEqual([]);
  expect((await mount.stop()).code).toBe(0);
});

function errorOf(call: () => unknown): string | undefined {
  try {
    call();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
  return undefined;
}

test("without marks on the upper file system, no directory is made or moved to where hidden names would show in it", async () => {
  const lower = plant(scratch(), { "d/f": "f", "e/f": "f" });
  for (const make of ["kernel", "sluice"]) {
    const base = scratch();
    execFileSync("mount", ["-t", "ramfs", "none", base]);
    const layers = { lowers: [lower], upper: join(base, "upper"), work: join(base, "work") };
    for (const path of [layers.upper, layers.work]) mkdirSync(path);
    // The test removes it at once: a merged directory needs a mark for that, also with the kernel.
    check(native.mknodat(AT.FDCWD, join(layers.upper, "d"), 0o020000, 0, 0), "make a whiteout");
    const seen: unknown[] = [];
    const mounted = make === "kernel" ? undefined : await mountSluice(layers);
    const at = mounted?.mountpoint ?? mountKernelOverlay(layers);
    seen.push(errorOf(() => mkdirSync(join(at, "d"))));
    seen.push(errorOf(() => mkdirSync(join(at, "new"))));
    seen.push(errorOf(() => renameSync(join(at, "new"), join(at, "d"))));
    seen.push(errorOf(() => renameSync(join(at, "e"), join(at, "moved"))));
    seen.push(readdirSync(at).sort(), readdirSync(join(at, "e")));
    expect([make, ...seen]).toEqual([make, "EIO", undefined, "EXDEV", "EXDEV", ["e", "new"], ["f"]]);
    if (mounted === undefined) unmountKernelOverlay(at);
    else await mounted.stop();
  }
});

test("a directory is marked impure while it holds copied-up objects", async () => {
  const lower = plant(scratch(), { f: "f", g: "g" });
  for (const make of ["kernel", "sluice"]) {
    const upper = scratch();
    const layers = { lowers: [lower], upper, work: scratch() };
    const mounted = make === "kernel" ? undefined : await mountSluice(layers);
    const at = mounted?.mountpoint ?? mountKernelOverlay(layers);
    const mark = (): string | undefined => xattr(join(upper, "d"), "trusted.overlay.impure");
    const seen: (string | undefined)[] = [];
    const list = (): void => {
      readdirSync(join(at, "d"));
      seen.push(mark());
    };
    mkdirSync(join(at, "d"));
    list();
    for (const name of ["f", "g"]) renameSync(join(at, name), join(at, "d", name));
    writeFileSync(join(at, "d/new"), "");
    list();
    unlinkSync(join(at, "d/f"));
    list();
    renameSync(join(at, "d/g"), join(at, "g"));
    list();
    renameSync(join(at, "g"), join(at, "d/g"));
    list();
    expect([make, ...seen]).toEqual([make, undefined, "y", "y", undefined, "y"]);
    if (mounted === undefined) unmountKernelOverlay(at);
    else await mounted.stop();
  }
});
