/** Leftovers of an earlier mount or a crash, other users of the layers, and marks of other overlays. */
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  directory,
  fifo,
  file,
  layers,
  mountKernelOverlay,
  mountSluice,
  mountsShareProcess,
  plant,
  requires,
  runScript,
  runSluice,
  scratch,
  symlink,
  unmountKernelOverlay,
  whiteout,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs");

interface Paths {
  lower: string;
  upper: string;
  work: string;
  mnt: string;
}

function prepared(): Paths {
  const { root, lower, upper } = layers({ lower: { f: "content" } });
  const [work, mnt] = ["work", "mnt"].map((name) => join(root, name)) as [string, string];
  for (const path of [work, mnt]) mkdirSync(path);
  return { lower, upper, work, mnt };
}

const optionsOf = ({ lower, upper, work }: Paths): string => `lowerdir=${lower},upperdir=${upper},workdir=${work}`;

test("a volatile mount marks its work directory as the kernel does, and both refuse it until the mark is gone", async () => {
  const paths = prepared();
  const { lower, upper, work, mnt } = paths;
  const mount = await mountSluice({ lowers: [lower], upper, work, args: ["-o", "volatile"] });
  expect(existsSync(join(work, "work/incompat/volatile/dirty"))).toBe(true);
  await mount.stop();
  expect(() => mountKernelOverlay({ lowers: [lower], upper, work })).toThrow(/EINVAL/);
  const refused = await runSluice(["mount", "-o", optionsOf(paths), mnt]);
  expect(refused.code).toBe(4);
  expect(refused.stderr).toMatch(/was volatile.*\(EINVAL\): .*remove .*work\/incompat\/volatile/);
  rmSync(join(work, "work/incompat/volatile"), { recursive: true });
  unmountKernelOverlay(mountKernelOverlay({ lowers: [lower], upper, work, options: "volatile" }));
  expect((await runSluice(["mount", "-o", optionsOf(paths), mnt])).code).toBe(4);
  rmSync(join(work, "work/incompat"), { recursive: true });
  mkdirSync(join(work, "work/incompat/future"), { recursive: true });
  const unknown = await runSluice(["mount", "-o", optionsOf(paths), mnt]);
  expect(unknown.stderr).toMatch(/feature "future" that Sluice does not know/);
  rmSync(join(work, "work/incompat/future"), { recursive: true });
  await (await mountSluice({ lowers: [lower], upper, work })).stop();
});

test("a mount removes the leftovers of a crash in the work directory, and nothing else", async () => {
  const { lower, upper, work } = prepared();
  const outside = plant(scratch(), { "keep/me": "x" });
  plant(work, {
    "work/#1": file("leftover", { mode: 0 }),
    "work/d/": directory({ mode: 0 }),
    "work/d/e/": directory({ mode: 0o4000 }),
    "work/d/e/f": file("deep", { mode: 0o6111 }),
    "work/d/w": whiteout(),
    "work/link": symlink(outside),
    "work/pipe": fifo({ mode: 0 }),
    [`work/${"n".repeat(255)}`]: "long",
  });
  chmodSync(join(work, "work"), 0);
  await (await mountSluice({ lowers: [lower], upper, work })).stop();
  expect(readdirSync(join(work, "work"))).toEqual([]);
  expect(readdirSync(join(outside, "keep"))).toEqual(["me"]);
});

test("refuses a link that replaces an overlay's own directory, and follows it nowhere", async () => {
  for (const name of ["work", "index"]) {
    const paths = prepared();
    const outside = plant(scratch(), { "keep/me": "x" });
    plant(paths.work, { [name]: symlink(outside) });
    const { code, stderr } = await runSluice(["mount", "-o", optionsOf(paths), paths.mnt]);
    expect([code, stderr]).toEqual([
      4,
      expect.stringContaining(`work/${name}: it is a symbolic link (ELOOP), which no overlay puts there: remove it`),
    ]);
    expect(readdirSync(join(outside, "keep"))).toEqual(["me"]);
  }
});

test("refuses layers that kernel overlayfs writes to", async () => {
  const paths = prepared();
  const { lower, upper, work, mnt } = paths;
  const overlay = mountKernelOverlay({ lowers: [lower], upper, work });
  const refused = await runSluice(["mount", "-o", optionsOf(paths), mnt]);
  expect(refused.code).toBe(4);
  expect(refused.stderr).toContain(`kernel overlayfs mounted on ${overlay} writes to this directory (EBUSY)`);
  unmountKernelOverlay(overlay);
  await (await mountSluice({ lowers: [lower], upper, work })).stop();
});

test("refuses a lower layer that another mount writes to with index=on, and allows it without", async () => {
  const { lower, upper, work, mnt } = prepared();
  const above = (index: string): string => optionsOf({ lower: upper, upper: scratch(), work: scratch(), mnt }) + index;
  const overlay = mountKernelOverlay({ lowers: [lower], upper, work });
  const byKernel = await runSluice(["mount", "-o", above(",index=on"), mnt]);
  expect([byKernel.code, byKernel.stderr]).toEqual([4, expect.stringContaining(`kernel overlayfs on ${overlay} writes to it (EBUSY)`)]);
  unmountKernelOverlay(overlay);
  const first = await mountSluice({ lowers: [lower], upper, work });
  const bySluice = await runSluice(["mount", "-o", above(",index=on"), mnt]);
  expect([bySluice.code, bySluice.stderr]).toEqual([
    4,
    expect.stringContaining("with index=on no layer may be written to by another mount"),
  ]);
  await (await mountSluice({ lowers: [upper], upper: scratch() })).stop();
  await first.stop();
  await (await mountSluice({ lowers: [upper], upper: scratch(), args: ["-o", "index=on"] })).stop();
});

test("marks of OCI layers and of fuse-overlayfs count if an option asks for them, and are files otherwise", async () => {
  const lower = plant(scratch(), { gone: "1", "dir/old": "1", "dir/both": "1", "a/x": "1", "b/x": "1", "c/x": "1", "d/x": "1" });
  const top = plant(scratch(), {
    ".wh.gone": "",
    "dir/.wh.old": "",
    "dir/.wh.both": "",
    "dir/both": "2",
    "a/.wh..wh..opq": "",
    "b/": directory({ xattrs: { "user.overlay.opaque": "y" } }),
    "c/": directory({ xattrs: { "user.fuseoverlayfs.opaque": "y" } }),
    "d/": directory({ xattrs: { "trusted.overlay.opaque": "y" } }),
  });
  const { upper } = layers({});
  const script =
    "ls -aR | grep -v '^\\.*$'; cat gone dir/old dir/both; touch .wh.new; touch dir/old; cat dir/old; rmdir dir 2>&1; rm -r dir; ls";
  const on = await mountSluice({ lowers: [top, lower], upper, args: ["-o", "foreign_marks=on"] });
  const seen = await runScript(["sh", "-c", `exec 2>&1; ${script}`], { cwd: on.mountpoint, env: { LC_ALL: "C" } });
  await on.stop();
  expect(seen.stdout.split("\n").filter((line) => line !== "")).toEqual([
    ...[".:", "a", "b", "c", "d", "dir", "./a:", "./b:", "./c:", "./d:", "./dir:", "both"],
    "cat: gone: No such file or directory",
    "cat: dir/old: No such file or directory",
    "2touch: cannot touch '.wh.new': Invalid argument",
    "rmdir: failed to remove 'dir': Directory not empty",
    ...["a", "b", "c", "d"],
  ]);
  expect(readdirSync(upper)).toEqual(["dir"]);
  const off = await mountSluice({ lowers: [top, lower] });
  const plain = await runScript(["sh", "-c", "ls -A . a b"], { cwd: off.mountpoint, env: { LC_ALL: "C" } });
  await off.stop();
  expect(plain.stdout.split("\n")).toEqual([
    ".:",
    ".wh.gone",
    "a",
    "b",
    "c",
    "d",
    "dir",
    "gone",
    "",
    "a:",
    ".wh..wh..opq",
    "x",
    "",
    "b:",
    "x",
    "",
  ]);
});

test("refuses xino=off over several file systems, as one mount has one device number", async () => {
  const { lower, mnt } = prepared();
  writeFileSync(join(lower, "g"), "x");
  const refused = await runSluice(["mount", "-o", `lowerdir=${lower}:/dev/shm,xino=off`, mnt]);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain("xino=off cannot be had over layers on several file systems");
});
