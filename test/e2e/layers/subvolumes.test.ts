/** Layers on btrfs with subvolumes in them: each has inode numbers of its own, and a snapshot has those of its original. */
import { execFileSync } from "node:child_process";
import { appendFileSync, linkSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import {
  eventually,
  mountKernelOverlay,
  mountSluice,
  mountsShareProcess,
  policyOf,
  requires,
  scratch,
  treeHash,
  unmountKernelOverlay,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "loop devices", "command mkfs.btrfs", "command btrfs");
const POLICY = "version: 1\ndefault: grant\n";
const SOON_MS = 30_000;

const subvolume = (...words: string[]): void =>
  void execFileSync("btrfs", ["subvolume", ...words], { stdio: ["ignore", "ignore", "pipe"] });

/** A subvolume, and a snapshot of it from before the last change. Each has a file of the names `f` and `g`, with one inode number. */
function withSnapshot(base: string): string {
  const lower = join(base, "lower");
  mkdirSync(lower);
  subvolume("create", join(lower, "live"));
  writeFileSync(join(lower, "live/f"), "before");
  linkSync(join(lower, "live/f"), join(lower, "live/g"));
  subvolume("snapshot", join(lower, "live"), join(lower, "snapshot"));
  writeFileSync(join(lower, "live/f"), "after it");
  expect(statSync(join(lower, "snapshot/f")).ino).toBe(statSync(join(lower, "live/f")).ino);
  return lower;
}

test("a file of several names and its copy in a snapshot are two files", async () => {
  const base = scratch({ on: "btrfs-loop" });
  const lower = withSnapshot(base);
  const before = treeHash(lower);
  mkdirSync(join(base, "upper"));
  const mount = await mountSluice({ lowers: [lower], upper: join(base, "upper"), policy: POLICY });
  const read = (name: string): string => readFileSync(mount.path(name), "utf8");
  expect(["live/f", "live/g", "snapshot/f", "snapshot/g"].map(read)).toEqual(["after it", "after it", "before", "before"]);
  appendFileSync(mount.path("snapshot/f"), ", changed");
  appendFileSync(mount.path("live/g"), " was live");
  expect(["live/f", "live/g"].map(read)).toEqual(["after it was live", "after it was live"]);
  expect(["snapshot/f", "snapshot/g"].map(read)).toEqual(["before, changed", "before, changed"]);
  expect((await mount.stop()).code).toBe(0);
  expect(treeHash(lower)).toBe(before);
});

test("a rule for a file of several names does not govern its copy in a snapshot", async () => {
  const lower = withSnapshot(scratch({ on: "btrfs-loop" }));
  const policy = policyOf("grant", { name: "live", path: "live/**", effect: "deny" });
  const mount = await mountSluice({ lowers: [lower], upper: scratch(), policy, args: ["-o", "index=off"] });
  expect(() => readFileSync(mount.path("live/f"))).toThrow("EACCES");
  expect(readFileSync(mount.path("snapshot/f"), "utf8")).toBe("before");
  expect((await mount.stop()).code).toBe(0);
});

test("files of several names in subvolumes of the upper layer are not taken for one another", async () => {
  const upper = withSnapshot(scratch({ on: "btrfs-loop" }));
  const mount = await mountSluice({ lowers: [scratch()], upper, work: join(upper, "../work"), policy: POLICY });
  linkSync(mount.path("live/f"), mount.path("live/h"));
  const read = (name: string): string => readFileSync(mount.path(name), "utf8");
  expect(["live/f", "live/h", "snapshot/f", "snapshot/g"].map(read)).toEqual(["after it", "after it", "before", "before"]);
  expect((await mount.stop()).code).toBe(0);
});

test("with --shared-lower, a subvolume in place of another one is found, though both have one inode number", async () => {
  const lower = withSnapshot(scratch({ on: "btrfs-loop" }));
  const mount = await mountSluice({ lowers: [lower], policy: POLICY, args: ["--shared-lower"] });
  expect(readFileSync(mount.path("live/f"), "utf8")).toBe("after it");
  renameSync(join(lower, "live"), join(lower, "former"));
  renameSync(join(lower, "snapshot"), join(lower, "live"));
  await eventually("the snapshot is found", SOON_MS, () => readFileSync(mount.path("live/f"), "utf8") === "before");
  expect((await mount.stop()).code).toBe(0);
});

test("a file of one of several subvolumes that are layers keeps its inode number over its copy-up and a remount", async () => {
  const base = scratch({ on: "btrfs-loop" });
  const [lower, upper] = [withSnapshot(base), join(base, "upper")];
  mkdirSync(upper);
  const options = { lowers: [join(lower, "live"), join(lower, "snapshot")], upper, policy: POLICY };
  writeFileSync(join(lower, "snapshot/own"), "text");
  const number = async (change: (path: string) => void): Promise<number> => {
    const mount = await mountSluice(options);
    change(mount.path("own"));
    const { ino } = statSync(mount.path("own"));
    expect((await mount.stop()).code).toBe(0);
    return ino;
  };
  const before = await number(() => undefined);
  expect(await number((path) => appendFileSync(path, " and more"))).toBe(before);
  expect(await number(() => undefined)).toBe(before);
});

test("subvolumes of one file system that are layers have one index of hard links, as with kernel overlayfs", async () => {
  const base = scratch({ on: "btrfs-loop" });
  const lowers = ["a", "b"].map((name) => join(base, name));
  for (const lower of lowers) {
    subvolume("create", lower);
    const name = join(lower, `in-${basename(lower)}`);
    writeFileSync(name, "lower");
    linkSync(name, `${name}-2`);
  }
  const [upper, work] = [join(base, "upper"), join(base, "work")];
  for (const directory of [upper, work]) mkdirSync(directory);
  const appended = (mountpoint: string, text: string): string[] => {
    for (const name of ["in-a", "in-b"]) appendFileSync(join(mountpoint, name), text);
    return ["in-a-2", "in-b-2"].map((name) => readFileSync(join(mountpoint, name), "utf8"));
  };
  const kernel = mountKernelOverlay({ lowers, upper, work, options: "index=on" });
  expect(appended(kernel, ", kernel")).toEqual(Array(2).fill("lower, kernel"));
  unmountKernelOverlay(kernel);
  const mount = await mountSluice({ lowers, upper, work, args: ["-o", "index=on"] });
  expect(appended(mount.mountpoint, ", mount")).toEqual(Array(2).fill("lower, kernel, mount"));
  expect((await mount.stop()).code).toBe(0);
});
