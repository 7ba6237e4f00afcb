/** Immutable and append-only files and directories of a lower layer (chattr +i, +a) behave as with kernel overlayfs. */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { native } from "@sluice/native";
import {
  cleanUp,
  directory,
  file,
  mountKernelOverlay,
  mountSluice,
  mountsShareProcess,
  plant,
  requires,
  scratch,
  scriptOutput,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "kernel overlayfs", "CAP_SYS_ADMIN");

const FLAGS = { i: 0x10, a: 0x20 } as const;
const FLAGGED = ["f", "d"] as const;

function setFlags(path: string, flags: number): void {
  const fd = openSync(path, "r");
  native.setFlags(fd, (native.getFlags(fd) & ~0x30) | flags);
  closeSync(fd);
}

/** Layers with a file and a directory of each kind; false if the file system has no such flags. */
function flagged(): { lowers: [string]; upper: string; work: string } {
  const lower = plant(scratch(), {
    ...Object.fromEntries(
      Object.keys(FLAGS).flatMap((kind) => [
        [`${kind}/f`, "content"],
        [`${kind}/d/x`, "x"],
        [`${kind}/d/s/y`, "y"],
        [`${kind}/q`, "q"],
      ]),
    ),
  });
  const upper = scratch();
  const all = Object.entries(FLAGS).flatMap(([kind, flags]) => FLAGGED.map((name) => ({ path: join(kind, name), flags })));
  for (const { path, flags } of all) setFlags(join(lower, path), flags);
  cleanUp(() => {
    for (const { path } of all) {
      setFlags(join(lower, path), 0);
      try {
        setFlags(join(upper, path), 0);
      } catch {
        // The file was never copied up.
      }
    }
  });
  return { lowers: [lower], upper, work: scratch() };
}

/** Prints the result of each call: its error, or nothing. */
const TRY = `
import * as fs from "node:fs";
const { native } = await import(process.env.SLUICE_NATIVE_URL);
process.chdir(process.argv[1]);
const flags = (path) => { const fd = fs.openSync(path, "r"); const got = native.getFlags(fd) & 0x30; fs.closeSync(fd); return got; };
const clear = (path) => { const fd = fs.openSync(path, "r"); const status = native.setFlags(fd, native.getFlags(fd) & ~0x30); fs.closeSync(fd); return status; };
const calls = {
  write: (k) => fs.writeFileSync(k + "/f", "new", { flag: "r+" }),
  truncate: (k) => fs.truncateSync(k + "/f", 1),
  chmod: (k) => fs.chmodSync(k + "/f", 0o600),
  times: (k) => fs.utimesSync(k + "/f", 1, 1),
  link: (k) => fs.linkSync(k + "/f", k + "/l"),
  rename: (k) => fs.renameSync(k + "/f", k + "/g"),
  over: (k) => fs.renameSync(k + "/q", k + "/f"),
  unlink: (k) => fs.unlinkSync(k + "/f"),
  append: (k) => fs.appendFileSync(k + "/f", "+"),
  "append again": (k) => fs.appendFileSync(k + "/f", "+"),
  "write after": (k) => fs.writeFileSync(k + "/f", "new", { flag: "r+" }),
  "unlink after": (k) => fs.unlinkSync(k + "/f"),
  read: (k) => fs.readFileSync(k + "/f", "utf8"),
  flags: (k) => [flags(k + "/f"), flags(k + "/d")],
  remove: (k) => fs.unlinkSync(k + "/d/x"),
  removedir: (k) => fs.rmSync(k + "/d/s", { recursive: true }),
  "rename in": (k) => fs.renameSync(k + "/d/x", k + "/d/z"),
  "rename out": (k) => fs.renameSync(k + "/d/x", k + "/x"),
  "rename dir": (k) => fs.renameSync(k + "/d", k + "/e"),
  "chmod dir": (k) => fs.chmodSync(k + "/d", 0o700),
  "write below": (k) => fs.appendFileSync(k + "/d/s/y", "+"),
  "write in": (k) => fs.appendFileSync(k + "/d/x", "+"),
  create: (k) => fs.writeFileSync(k + "/d/new", ""),
  mkdir: (k) => fs.mkdirSync(k + "/d/newdir"),
  "rename into": (k) => fs.renameSync(k + "/q", k + "/d/q"),
  "remove after": (k) => fs.unlinkSync(k + "/d/x"),
  "flags after": (k) => [flags(k + "/f"), flags(k + "/d")],
  list: (k) => fs.readdirSync(k + "/d").sort(),
  clear: (k) => [clear(k + "/f"), clear(k + "/d")],
  "flags cleared": (k) => [flags(k + "/f"), flags(k + "/d")],
  "unlink at last": (k) => fs.unlinkSync(k + "/f"),
  "remove at last": (k) => fs.unlinkSync(k + "/d/x"),
};
const found = [];
for (const kind of ["i", "a"]) {
  for (const [name, call] of Object.entries(calls)) {
    try { found.push(kind + " " + name + ": " + JSON.stringify(call(kind) ?? "done")); } catch (error) { found.push(kind + " " + name + ": " + error.code); }
  }
}
console.log(JSON.stringify(found));
`;

async function tried(mountpoint: string): Promise<string[]> {
  return JSON.parse(await scriptOutput(TRY, { args: [mountpoint] })) as string[];
}

for (const effect of ["grant", "mediate"]) {
  test(`refuses operations that flags of a lower layer forbid, and keeps the flags across a copy-up: ${effect}`, async () => {
    const kernel = await tried(mountKernelOverlay({ ...flagged(), options: "index=on,redirect_dir=on" }));
    expect(kernel).toContain("i write: EPERM");
    const mount = await mountSluice({ ...flagged(), policy: `version: 1\ndefault: ${effect}\n` });
    expect(await tried(mount.mountpoint)).toEqual(kernel);
    expect((await mount.stop()).code).toBe(0);
  });
}

/** An upper layer with the same tree, in which overlayfs made a file and a directory of each kind immutable or append-only. */
function marked(): { lowers: [string]; upper: string; work: string } {
  const upper = plant(scratch(), {
    ...Object.fromEntries(
      Object.keys(FLAGS).flatMap((kind) => {
        const xattrs = { "trusted.overlay.protattr": Buffer.from(kind) };
        return [
          [`${kind}/f`, file("content", { xattrs })],
          [`${kind}/d/`, directory({ xattrs })],
          [`${kind}/d/x`, "x"],
          [`${kind}/d/s/y`, "y"],
          [`${kind}/q`, "q"],
        ];
      }),
    ),
  });
  cleanUp(() => {
    for (const kind of Object.keys(FLAGS)) {
      try {
        setFlags(join(upper, kind, "f"), 0);
      } catch {
        // The mount removed it, as it may.
      }
    }
  });
  return { lowers: [scratch()], upper, work: scratch() };
}

test("refuses operations that marks of overlayfs forbid in an upper layer, until somebody takes the flags away", async () => {
  const kernel = await tried(mountKernelOverlay({ ...marked(), options: "index=on,redirect_dir=on" }));
  expect(kernel).toContain("i write: EPERM");
  expect(kernel).toContain('i unlink at last: "done"');
  const layers = marked();
  const mount = await mountSluice({ ...layers, policy: "version: 1\ndefault: grant\n" });
  expect(await tried(mount.mountpoint)).toEqual(kernel);
  expect((await mount.stop()).code).toBe(0);
});

/** Sets a flag that no file system has, and none of those that protect; prints the error, and what the objects allow then. */
const REFUSED = `
import * as fs from "node:fs";
const { native } = await import(process.env.SLUICE_NATIVE_URL);
process.chdir(process.argv[1]);
const found = [];
for (const path of ["i/f", "i/d"]) {
  const fd = fs.openSync(path, "r");
  found.push(native.setFlags(fd, 0x08000000), native.getFlags(fd) & 0x30);
  fs.closeSync(fd);
}
for (const call of [() => fs.appendFileSync("i/f", "+"), () => fs.mkdirSync("i/d/new")]) {
  try { call(); found.push("done"); } catch (error) { found.push(error.code); }
}
console.log(JSON.stringify(found));
`;

test("an object stays protected if the file system refuses a change of its flags", async () => {
  const layers = marked();
  const mount = await mountSluice({ ...layers });
  const eopnotsupp = -95;
  const found: unknown = JSON.parse(await scriptOutput(REFUSED, { args: [mount.mountpoint] }));
  expect(found).toEqual([eopnotsupp, FLAGS.i, eopnotsupp, FLAGS.i, "EPERM", "EPERM"]);
  expect((await mount.stop()).code).toBe(0);
});

const SYNC = 0x8;
const NOATIME = 0x80;

/** Changes each object's attributes, and a file's data, and prints the flags of all. */
const COPY_UP = `
import * as fs from "node:fs";
const { native } = await import(process.env.SLUICE_NATIVE_URL);
process.chdir(process.argv[1]);
const flags = (path) => { const fd = fs.openSync(path, "r"); const got = native.getFlags(fd) & 0xff; fs.closeSync(fd); return got; };
for (const name of fs.readdirSync(".")) fs.chmodSync(name, 0o700);
fs.appendFileSync("written", "+");
console.log(JSON.stringify(Object.fromEntries(fs.readdirSync(".").sort().map((name) => [name, flags(name)]))));
`;

for (const options of ["metacopy=off", "metacopy=on,redirect_dir=on"]) {
  test(`a copy has the flags that overlayfs copies, synchronous and no access times, with ${options}`, async () => {
    const layers = (): { lowers: [string]; upper: string; work: string } => {
      const lower = plant(scratch(), { changed: "x", written: "x", undumped: "x", "d/": directory({}), plain: "x" });
      for (const name of ["changed", "written", "d"]) setFlags(join(lower, name), SYNC | NOATIME);
      setFlags(join(lower, "undumped"), 0x40);
      return { lowers: [lower], upper: scratch(), work: scratch() };
    };
    const flagsAfter = async (mountpoint: string): Promise<unknown> => JSON.parse(await scriptOutput(COPY_UP, { args: [mountpoint] }));
    const retained = SYNC | NOATIME;
    const kernel = await flagsAfter(mountKernelOverlay({ ...layers(), options }));
    expect(kernel).toEqual({ changed: retained, d: retained, plain: 0, undumped: 0, written: retained });
    const mount = await mountSluice({ ...layers(), args: ["-o", options] });
    expect(await flagsAfter(mount.mountpoint)).toEqual(kernel);
    expect((await mount.stop()).code).toBe(0);
  });
}
