/** One test mounts, and one acts as another user: needs root. */
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { errno, makeScratch, O_DIRECTORY, O_PATH, type Scratch } from "../../test/scratch.js";
import { emptyDirectory, inDirectory, native, openBeneath, openRealDirectory, removeTree } from "../index.js";

let scratch: Scratch;
beforeEach(() => {
  scratch = makeScratch("/dev/shm");
});
afterEach(() => {
  scratch.remove();
});

const DEPTH = 60;
const NAME = "n".repeat(200);

function makeDeep(): string {
  let at = native.dupfd(scratch.dir);
  for (let depth = 0; depth < DEPTH; depth++) {
    native.mkdirat(at, NAME, 0o755);
    const next = native.openat(at, NAME, O_DIRECTORY, 0);
    native.close(at);
    at = next;
  }
  native.close(at);
  return Array<string>(DEPTH).fill(NAME).join("/");
}

/** As the user for files, on this thread. Node of Debian refuses process.seteuid(). */
function asUser<T>(uid: number, run: () => T): T {
  expect(native.asCaller(uid, uid, 0o022)).toBe(0);
  try {
    return run();
  } finally {
    native.asDaemon();
  }
}

it("removes directories that an ordinary user has closed to itself", () => {
  chownSync(scratch.path, 12_345, 12_345);
  chmodSync(scratch.path, 0o755);
  const removal = asUser(12_345, () => {
    mkdirSync(join(scratch.path, "a/b/c"), { recursive: true });
    writeFileSync(join(scratch.path, "a/b/file"), "");
    chmodSync(join(scratch.path, "a/b"), 0);
    chmodSync(join(scratch.path, "a"), 0o500);
    return removeTree(scratch.dir, "a");
  });
  expect(removal).toEqual({ status: 0, path: "a" });
  expect(existsSync(join(scratch.path, "a"))).toBe(false);
});

it("opens and removes files deeper than a path is long, and leaks no descriptor", () => {
  const deep = makeDeep();
  const open = readdirSync("/proc/self/fd").length;
  const fd = openBeneath(scratch.dir, deep, O_PATH | O_DIRECTORY, 0);
  expect(fd).toBeGreaterThan(0);
  expect(native.close(fd)).toBe(0);
  expect(openBeneath(scratch.dir, `${deep}/none`, O_PATH, 0)).toBe(-errno.ENOENT);
  expect(openBeneath(scratch.dir, `${NAME}/none/${deep}`, O_PATH, 0)).toBe(-errno.ENOENT);
  expect(openBeneath(scratch.dir, "x".repeat(5000), O_PATH, 0)).toBe(-errno.ENAMETOOLONG);
  expect(inDirectory(scratch.dir, `${deep}/x`, (directory, name) => native.mkdirat(directory, name, 0o755))).toBe(0);
  expect(removeTree(scratch.dir, NAME)).toEqual({ status: 0, path: NAME });
  expect(readdirSync(scratch.path)).toEqual([]);
  expect(readdirSync("/proc/self/fd").length).toBe(open);
});

it("follows no link above the place where a long path is cut", () => {
  const deep = makeDeep();
  native.renameat2(scratch.dir, NAME, scratch.dir, "elsewhere", 0);
  native.symlinkat("elsewhere", scratch.dir, NAME);
  expect(openBeneath(scratch.dir, deep, O_PATH, 0)).toBe(-errno.ELOOP);
  removeTree(scratch.dir, "elsewhere");
});

it("empties a directory of whatever is called whatever, and of nothing that a link leads to", () => {
  const [inside, outside] = ["inside", "outside"].map((name) => join(scratch.path, name)) as [string, string];
  for (const path of [join(inside, "a/b"), outside]) mkdirSync(path, { recursive: true });
  writeFileSync(join(inside, "a/b/file"), "");
  writeFileSync(join(outside, "kept"), "");
  for (const name of ["link", "a/b/link"]) symlinkSync(outside, join(inside, name));
  const fd = native.openat(scratch.dir, "inside", O_PATH | O_DIRECTORY, 0);
  native.mknodat(fd, "\xff\n", 0o020000, 0, 0);
  expect(emptyDirectory(fd)).toEqual({ status: 0, path: "" });
  expect(readdirSync(inside)).toEqual([]);
  expect(existsSync(join(outside, "kept"))).toBe(true);
  native.close(fd);
});

it("stops at a mount, and says where", () => {
  const inside = join(scratch.path, "d/mount");
  mkdirSync(inside, { recursive: true });
  execFileSync("mount", ["-t", "tmpfs", "none", inside]);
  try {
    writeFileSync(join(inside, "kept"), "");
    expect(removeTree(scratch.dir, "d")).toEqual({ status: -16, path: "d/mount" });
    expect(existsSync(join(inside, "kept"))).toBe(true);
  } finally {
    execFileSync("umount", [inside]);
  }
});

it("opens a real path, and none on which a link has been put since", () => {
  mkdirSync(join(scratch.path, "real/below"), { recursive: true });
  const fd = openRealDirectory(join(scratch.path, "real/below"), O_PATH);
  expect(native.close(fd)).toBe(0);
  symlinkSync("real", join(scratch.path, "link"));
  expect(openRealDirectory(join(scratch.path, "link/below"), O_PATH)).toBe(-errno.ELOOP);
  expect([-errno.ELOOP, -errno.ENOTDIR]).toContain(openRealDirectory(join(scratch.path, "link"), O_PATH));
});
