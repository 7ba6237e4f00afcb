/** Very large directories are listed whole, while other requests are served. */
import { closeSync, linkSync, mkdirSync, openSync, readdirSync, readFileSync } from "node:fs";
import { appendFile, opendir, readdir, rename, rmdir, stat, unlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { check, native } from "@sluice/native";
import { directory, mountSluice, plant, requires, scratch } from "@sluice/testkit";
import { AT, O, S } from "@sluice/vfs";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const MANY = 20_000;
/** For a test in which no other request waits. */
const SEVERAL = 10_000;
const MANY_LINKS = 10_000;
const LEVELS = 1_500;

/** Each a file of its own. */
function fill(directory: string, prefix: string, count: number): void {
  mkdirSync(directory, { recursive: true });
  for (let i = 0; i < count; i++) closeSync(openSync(join(directory, `${prefix}${i}`), "w"));
}

/** All names are links to the first one: a link takes less time to make and to remove than a file. */
function linkTo(first: string, prefix: string, count: number): void {
  for (let i = 1; i < count; i++) linkSync(first, join(dirname(first), `${prefix}${i}`));
}

function fillWithLinks(directory: string): void {
  fill(directory, "low", 1);
  linkTo(join(directory, "low0"), "low", MANY);
}

/** Makes a directory that holds only whiteouts. */
function hide(at: string, count: number): void {
  mkdirSync(at);
  check(native.mknodat(AT.FDCWD, join(at, "gone0"), S.IFCHR, 0, 0), "make a whiteout");
  linkTo(join(at, "gone0"), "gone", count);
}

/** The number of other requests answered while `work` ran. */
async function answeredDuring(path: string, work: Promise<unknown>): Promise<number> {
  let going = true;
  const done = work.finally(() => {
    going = false;
  });
  let answered = 0;
  // Nobody has looked these names up before, so the kernel cannot answer for the mount.
  for (; going; answered++) await stat(`${path}/missing${answered}`).catch(() => undefined);
  await done;
  return answered;
}

test("a large merged and a large plain directory are listed while others are served", async () => {
  const root = scratch();
  const [lower, upper] = [join(root, "lower"), join(root, "upper")] as [string, string];
  fillWithLinks(join(lower, "merged"));
  fillWithLinks(join(lower, "plain"));
  fill(join(upper, "merged"), "up", 10);
  const mount = await mountSluice({ lowers: [lower], upper });
  for (const [name, count] of [
    ["merged", MANY + 10],
    ["plain", MANY],
  ] as const) {
    const listing = readdir(mount.path(name));
    expect(await answeredDuring(mount.mountpoint, listing)).toBeGreaterThan(20);
    expect(new Set(await listing).size).toBe(count);
  }
  // One name is enough to refuse: the mount stops at the first one.
  await expect(rmdir(mount.path("plain"))).rejects.toThrow("ENOTEMPTY");
  await mount.stop();
});

test("an open directory holds no descriptor after it was read, and removing its listed names empties it", async () => {
  const lower = join(scratch(), "lower");
  fill(join(lower, "d"), "n", 3000);
  const upper = scratch();
  const mount = await mountSluice({ lowers: [lower], upper });
  const directory = await opendir(mount.path("d"), { bufferSize: 64 });
  let removed = 0;
  for (let entry = await directory.read(); entry !== null; entry = await directory.read(), removed++)
    await unlink(mount.path("d", entry.name));
  expect(removed).toBe(3000);
  const held = (): string[] => mount.descriptors().filter((target) => target.endsWith("/d"));
  const open = held();
  await directory.close();
  await stat(mount.path("d"));
  expect(open).toEqual(held());
  await rmdir(mount.path("d"));
  await mount.stop();
});

test("directories with very many whiteouts are removed and renamed over while others are served", async () => {
  const lower = plant(scratch(), {
    "in/removed/": directory(),
    "in/overwritten/": directory(),
    "in/moved/": directory(),
    "other/": directory(),
  });
  const layers = { lowers: [lower], upper: plant(scratch(), { "in/": directory() }), work: scratch() };
  for (const name of ["removed", "overwritten"]) hide(join(layers.upper, "in", name), MANY);
  const mount = await mountSluice(layers);
  // The kernel blocks look-ups in the directory that a name is removed from.
  const other = mount.path("other");
  expect(await answeredDuring(other, rmdir(mount.path("in/removed")))).toBeGreaterThan(20);
  expect(await answeredDuring(other, rename(mount.path("in/moved"), mount.path("in/overwritten")))).toBeGreaterThan(20);
  expect(await readdir(mount.path("in"))).toEqual(["overwritten"]);
  expect(await readdir(mount.path("in/overwritten"))).toEqual([]);
  await mount.stop();
  // The unmount also ends the clean-up that was still due.
  expect(await readdir(join(layers.work, "work"))).toEqual(["handles"]);
});

test("refuses to remove a directory of very many whiteouts after a name has been added", async () => {
  const lower = plant(scratch(), { "d/": directory() });
  const layers = { lowers: [lower], upper: scratch(), work: scratch() };
  hide(join(layers.upper, "d"), SEVERAL);
  const mount = await mountSluice(layers);
  await writeFile(mount.path("d", "new"), "");
  await expect(rmdir(mount.path("d"))).rejects.toThrow("ENOTEMPTY");
  await unlink(mount.path("d", "new"));
  await rmdir(mount.path("d"));
  await mount.stop();
});

test("a file with very many hard links is copied up, and each of its names linked, while others are served", async () => {
  const lower = plant(scratch(), { first: "old", "other/": directory() });
  mkdirSync(join(lower, "links"));
  for (let i = 0; i < MANY_LINKS; i++) linkSync(join(lower, "first"), join(lower, "links", `link${i}`));
  const upper = scratch();
  const mount = await mountSluice({ lowers: [lower], upper, args: ["-o", "index=on"] });
  const links = mount.path("links");
  for (const name of await readdir(links)) await stat(join(links, name));
  const written = appendFile(mount.path("first"), "new");
  // The kernel blocks look-ups in the directory meanwhile.
  const moved = rename(join(links, "link7"), join(links, "moved"));
  expect(await answeredDuring(mount.path("other"), Promise.all([written, moved]))).toBeGreaterThan(20);
  expect(readdirSync(join(upper, "links")).length).toBe(MANY_LINKS + 1);
  expect((await stat(join(links, "moved"))).nlink).toBe(MANY_LINKS + 1);
  expect(readFileSync(join(upper, "links", "moved"), "utf8")).toBe("oldnew");
  expect(readFileSync(join(upper, "links", "link8"), "utf8")).toBe("oldnew");
  await mount.stop();
});

test("the directories above a very deep file are copied up while others are served", async () => {
  const [lower, upper] = [scratch(), scratch()];
  const fds: number[] = [];
  const enter = (top: string, make: boolean): number => {
    let fd = check(native.openat(AT.FDCWD, top, O.PATH | O.DIRECTORY, 0), "open the top");
    for (let level = 0; level < LEVELS; level++) {
      if (make) check(native.mkdirat(fd, "d", 0o755), "make a directory");
      const next = check(native.openat(fd, "d", O.PATH | O.DIRECTORY, 0), "enter a directory");
      native.close(fd);
      fd = next;
    }
    fds.push(fd);
    return fd;
  };
  closeSync(openSync(`/proc/self/fd/${enter(lower, true)}/file`, "w"));
  const mount = await mountSluice({ lowers: [lower], upper });
  const bottom = `/proc/self/fd/${enter(mount.mountpoint, false)}`;
  // The kernel blocks look-ups in the bottom directory meanwhile.
  expect(await answeredDuring(mount.mountpoint, writeFile(`${bottom}/new`, "made"))).toBeGreaterThan(10);
  await appendFile(`${bottom}/file`, "more");
  expect(readFileSync(`/proc/self/fd/${enter(upper, false)}/new`, "utf8")).toBe("made");
  for (const fd of fds) native.close(fd);
  await mount.stop();
});
