/**
 * Opens by file handle (open_by_handle_at(2)). They carry no path, are judged by the names that the mount knows for the file,
 * and outlive the kernel's caches.
 */
import { renameSync, unlinkSync, writeFileSync } from "node:fs";
import {
  directory,
  hardLink,
  mountSluice,
  mountsShareProcess,
  plant,
  policyOf,
  requires,
  runSluice,
  scratch,
  scriptOutput,
} from "@sluice/testkit";
import { Errno } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

/** Takes a handle of each path and opens it, in a process of its own; prints the results as JSON. */
const BY_HANDLE = `
import { native } from "@sluice/native";
const [mountpoint, ...paths] = process.argv.slice(1);
const mount = native.openat(-100, mountpoint, 0o200000, 0);
const results = paths.map((path) => {
  const handle = Buffer.alloc(128);
  const both = native.nameToHandleAt(-100, path, 0, handle);
  if (both < 0) return "no handle: " + both;
  const fd = native.openByHandleAt(mount, both >>> 16, handle.subarray(0, both & 0xffff), 0);
  return fd < 0 ? fd : "opened";
});
console.log(JSON.stringify(results));
`;

test("a handle does not bypass a rule", async () => {
  const lower = plant(scratch(), { open: "public", "secrets/key": "secret" });
  const policy = policyOf("grant", { name: "no", path: "secrets/**", effect: "deny" });
  const mount = await mountSluice({ lowers: [lower], policy });
  const paths = [mount.path("open"), mount.path("secrets/key")];
  const output = await scriptOutput([process.execPath, "--input-type=module", "-e", BY_HANDLE, mount.mountpoint, ...paths]);
  expect(JSON.parse(output)).toEqual(["opened", -Errno.EACCES]);
  expect((await mount.stop()).code).toBe(0);
});

/** Takes handles, has the kernel forget everything, changes names, and opens by the handles; prints the target of each. */
const AFTER_FORGETTING = `
import { appendFileSync, fstatSync, readFileSync, renameSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { native } from "@sluice/native";
const [root] = process.argv.slice(1);
const mount = native.openat(-100, root, 0o200000, 0);
const forget = () => writeFileSync("/proc/sys/vm/drop_caches", "2");
const results = {};
// A directory comes first: to connect it, the kernel lists the directories above, which looks up every entry in them.
const names = ["d/deep", "low", "d/deep/low", "up", "changed", "moved", "gone"];
const handles = names.map((name) => {
  const handle = Buffer.alloc(128);
  const both = native.nameToHandleAt(-100, root + "/" + name, 0, handle);
  if (both < 0) throw new Error(name + ": " + both);
  return { name, type: both >>> 16, ino: statSync(root + "/" + name).ino, bytes: Buffer.from(handle.subarray(0, both & 0xffff)) };
});
forget();
appendFileSync(root + "/changed", "+");
renameSync(root + "/moved", root + "/d/elsewhere");
unlinkSync(root + "/gone");
forget();
for (const { name, type, bytes, ino } of handles) {
  const fd = native.openByHandleAt(mount, type, bytes, 0);
  if (fd < 0) results[name] = fd;
  else if (fstatSync(fd).ino !== ino) results[name] = "another file";
  else results[name] = fstatSync(fd).isDirectory() ? "directory" : readFileSync(fd, "utf8");
}
console.log(JSON.stringify(results));
`;

test("a handle opens its file after the kernel forgot it, and after the file was changed and renamed", async () => {
  const lower = plant(scratch(), { low: "low", "d/deep/low": "deep", changed: "changed", moved: "moved", gone: "gone" });
  const mount = await mountSluice({ lowers: [lower], upper: scratch() });
  writeFileSync(mount.path("up"), "up");
  const output = await scriptOutput([process.execPath, "--input-type=module", "-e", AFTER_FORGETTING, mount.mountpoint]);
  expect(JSON.parse(output)).toEqual({
    low: "low",
    "d/deep/low": "deep",
    up: "up",
    changed: "changed+",
    moved: "moved",
    gone: -Errno.ESTALE,
    "d/deep": "directory",
  });
  expect((await mount.stop()).code).toBe(0);
});

/**
 * Links the file, has the kernel forget it, removes the name that the handle was taken from, and has it forgotten again; prints
 * the target of the handle.
 */
const BY_ANOTHER_NAME = `
import { fstatSync, linkSync, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { native } from "@sluice/native";
const [root, name] = process.argv.slice(1);
const mount = native.openat(-100, root, 0o200000, 0);
const forget = () => writeFileSync("/proc/sys/vm/drop_caches", "2");
const bytes = Buffer.alloc(128);
const both = native.nameToHandleAt(-100, root + "/" + name, 0, bytes);
const handle = () => native.openByHandleAt(mount, both >>> 16, bytes.subarray(0, both & 0xffff), 0);
const ino = statSync(root + "/" + name).ino;
linkSync(root + "/" + name, root + "/d/link");
forget();
native.close(handle());
statSync(root + "/" + name);
unlinkSync(root + "/" + name);
forget();
const fd = handle();
console.log(fd < 0 ? fd : fstatSync(fd).ino === ino && readFileSync(fd, "utf8"));
native.close(fd);
unlinkSync(root + "/d/link");
// If another process makes the kernel drop caches, too, it may hold our entries a little longer.
let last = 0;
for (let i = 0; i < 200 && last >= 0; i++) {
  forget();
  last = handle();
  if (last < 0) break;
  native.close(last);
  await new Promise((resolve) => setTimeout(resolve, 20));
}
console.log(last);
`;

async function byAnotherName(name: string): Promise<void> {
  const lower = plant(scratch(), { low: "text", "d/": directory({}), "lower link": "text", another: hardLink("lower link") });
  const mount = await mountSluice({ lowers: [lower], upper: scratch() });
  writeFileSync(mount.path("up"), "text");
  const output = await scriptOutput([process.execPath, "--input-type=module", "-e", BY_ANOTHER_NAME, mount.mountpoint, name]);
  // The lower file has a name more, which the mount may know by then or not.
  if (name === "lower link") expect(output).toMatch(/^text\n/);
  else expect(output).toBe(`text\n${-Errno.ESTALE}\n`);
  expect((await mount.stop()).code).toBe(0);
}

for (const name of ["low", "up", "lower link"]) test(`a handle opens its file by any remaining name: ${name}`, () => byAnotherName(name));

/** Prints a handle of each name, as JSON. */
const TAKE = `
import { native } from "@sluice/native";
const [root, ...names] = process.argv.slice(1);
const handles = names.map((name) => {
  const bytes = Buffer.alloc(128);
  const both = native.nameToHandleAt(-100, root + "/" + name, 0, bytes);
  return [both >>> 16, bytes.toString("hex", 0, both & 0xffff)];
});
console.log(JSON.stringify(handles));
`;

/** Prints the target of each handle. */
const OPEN = `
import { fstatSync, readFileSync } from "node:fs";
import { native } from "@sluice/native";
const [root, handles] = process.argv.slice(1);
const mount = native.openat(-100, root, 0o200000, 0);
const found = JSON.parse(handles).map(([type, hex]) => {
  const fd = native.openByHandleAt(mount, type, Buffer.from(hex, "hex"), 0);
  return fd < 0 ? fd : fstatSync(fd).isDirectory() ? "directory" : readFileSync(fd, "utf8");
});
console.log(JSON.stringify(found));
`;

function node(code: string, ...args: string[]): Promise<string> {
  return scriptOutput([process.execPath, "--input-type=module", "-e", code, ...args]);
}

test("a handle outlives an orderly unmount, and is stale after any other end", async () => {
  const upper = scratch();
  const layers = { lowers: [plant(scratch(), { low: "low", "d/deep/low": "deep", gone: "gone", moved: "moved" })], upper, work: scratch() };
  const names = ["low", "d/deep", "d/deep/low", "moved", "gone", "up"];
  const first = await mountSluice(layers);
  writeFileSync(first.path("up"), "up");
  const handles = await node(TAKE, first.mountpoint, ...names);
  renameSync(first.path("moved"), first.path("d/elsewhere"));
  unlinkSync(first.path("gone"));
  expect((await first.stop()).code).toBe(0);
  const found = ["low", "directory", "deep", "moved", -Errno.ESTALE, "up"];
  for (let round = 0; round < 2; round++) {
    const again = await mountSluice(layers);
    // Whatever it looks at meanwhile.
    writeFileSync(again.path(`new${round}`), "new");
    expect(JSON.parse(await node(OPEN, again.mountpoint, handles))).toEqual(found);
    expect((await again.stop()).code).toBe(0);
  }
  const killed = await mountSluice({ ...layers, ownProcess: true });
  const late = await node(TAKE, killed.mountpoint, "low");
  await killed.kill();
  expect((await runSluice(["unmount", killed.mountpoint])).code).toBe(0);
  const last = await mountSluice(layers);
  expect(JSON.parse(await node(OPEN, last.mountpoint, handles))).toEqual(names.map(() => -Errno.ESTALE));
  expect(JSON.parse(await node(OPEN, last.mountpoint, late))).toEqual([-Errno.ESTALE]);
  expect((await last.stop()).code).toBe(0);
});
