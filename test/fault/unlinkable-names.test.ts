/**
 * A lower file with several names is copied up, and a name cannot get its link in the upper layer. The index leads that name to the copy, so the
 * copy can still be changed by each of its names. The overlay is called as the engine would call it, and linkat(2) fails as a test says.
 */
import { linkSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { native } from "@sluice/native";
import type { Overlay } from "@sluice/overlay";
import { cleanUp, directory, plant, requires, scratch } from "@sluice/testkit";
import { AT, Attr, type CallContext, Errno, O } from "@sluice/vfs";
import { expect } from "vitest";
import { withFault } from "../../packages/overlay/dist/layer/testing/with-fault.js";
import { entry, opened, overlayOver } from "../e2e/harness/bare-overlay.js";

const { test } = requires("CAP_SYS_ADMIN");
const call: CallContext = { uid: 0, gid: 0, pid: 1, groups: undefined, labels: undefined, signal: new AbortController().signal };
const ROOT = 1;
/** FS_IOC_SETFLAGS */
const SETFLAGS = 0x40086602;
const IMMUTABLE = 0x10;
const APPEND_ONLY = 0x20;
const NAMES = ["a", "b", "c"];
const UNCHANGED = { uid: undefined, gid: undefined, size: undefined, atime: undefined, mtime: undefined, handle: undefined };

interface Linked {
  overlay: Overlay;
  upper: string;
  index: string;
  /** The id of the file, found by one of its names. */
  find(name: string): number;
}

function linked(): Linked {
  const base = scratch();
  plant(base, { "lower/a": "below", "upper/": directory() });
  for (const name of NAMES.slice(1)) linkSync(join(base, "lower/a"), join(base, "lower", name));
  mkdirSync(join(base, "work"));
  const overlay = overlayOver(base, undefined, { index: "on" });
  const find = (name: string): number => {
    const found = entry();
    expect(overlay.lookup(call, ROOT, name, found)).toBe(0);
    return found.nodeId;
  };
  return { overlay, upper: join(base, "upper"), index: join(base, "work/index"), find };
}

async function chmod({ overlay, find }: Linked, name: string, mode: number): Promise<number> {
  return await overlay.setattr(call, find(name), { ...UNCHANGED, mode, killSuidgid: false }, { attr: new Attr(), attrTtlMs: 0 });
}

async function linksOf({ overlay, find }: Linked, name: string): Promise<number> {
  const attr = new Attr();
  expect(await overlay.getattr(call, find(name), undefined, { attr, attrTtlMs: 0 })).toBe(0);
  return attr.nlink;
}

async function setFlags({ overlay, find }: Linked, name: string, flags: number): Promise<number> {
  const input = Buffer.alloc(8);
  input.writeUInt32LE(flags);
  return await overlay.ioctl(call, find(name), { handle: 0, command: SETFLAGS, input }, { reserve: Buffer.alloc, length: 0 });
}

/** The mark that counts the names, of the only entry of the index. */
function countMark({ index }: Linked): string {
  const [name] = readdirSync(index) as [string];
  const value = Buffer.alloc(16);
  return value.toString("latin1", 0, native.getxattrat(AT.FDCWD, join(index, name), "trusted.overlay.nlink", value));
}

/** Of the file's entry in the index: nobody could remove it otherwise. */
function freeAtEnd({ index }: Linked): void {
  cleanUp(() => {
    const fd = native.openat(AT.FDCWD, join(index, readdirSync(index)[0] as string), O.RDONLY, 0);
    native.setFlags(fd, 0);
    native.close(fd);
  });
}

test("a file that can have no further link is changed by every name, and loses those that have links", async () => {
  const files = linked();
  const { overlay, upper } = files;
  for (const name of NAMES) files.find(name);
  expect(await withFault({ call: "linkat", errno: Errno.EMLINK, after: 2 }, () => chmod(files, "c", 0o600))).toBe(0);
  expect(readdirSync(upper)).toEqual(["a", "b"]);
  expect(await chmod(files, "c", 0o640)).toBe(0);
  expect(statSync(join(upper, "a")).mode & 0o777).toBe(0o640);
  const full = { call: "linkat", errno: Errno.EMLINK };
  const rename = { parent: ROOT, name: "c", newParent: ROOT, newName: "d", flags: 0 };
  expect(await withFault(full, () => overlay.unlink(call, ROOT, "c"))).toBe(Errno.EMLINK);
  expect(await withFault(full, () => overlay.rename(call, rename))).toBe(Errno.EMLINK);
  expect(await linksOf(files, "c")).toBe(3);
  const whiteouts = { call: "linkat", errno: Errno.EMLINK, after: 1 };
  expect(await withFault(whiteouts, () => overlay.unlink(call, ROOT, "a"))).toBe(0);
  expect(await linksOf(files, "c")).toBe(2);
  expect(await withFault(full, () => overlay.rename(call, { ...rename, name: "b" }))).toBe(0);
  expect(await overlay.unlink(call, ROOT, "d")).toBe(0);
  expect(await linksOf(files, "c")).toBe(1);
  expect(await overlay.unlink(call, ROOT, "c")).toBe(0);
  expect(readdirSync(files.index)).toEqual([]);
});

test("a link that fails leaves the count of names as it is stored for later mounts", async () => {
  const files = linked();
  for (const name of NAMES) files.find(name);
  expect(await withFault({ call: "linkat", errno: Errno.ENOSPC, after: 1 }, () => chmod(files, "c", 0o600))).toBe(Errno.ENOSPC);
  expect(countMark(files)).toBe("U+1");
  expect(await chmod(files, "c", 0o600)).toBe(0);
  expect(countMark(files)).toBe("U-1");
});

test("an immutable file can be changed again by a name that was unknown when it became immutable", async () => {
  const files = linked();
  expect(await setFlags(files, "a", IMMUTABLE)).toBe(0);
  freeAtEnd(files);
  expect(await chmod(files, "b", 0o600)).toBe(Errno.EPERM);
  expect(await setFlags(files, "b", 0)).toBe(0);
  expect(await chmod(files, "b", 0o600)).toBe(0);
});

test("an append-only file is appended to by a name that was unknown when it became append-only", async () => {
  const files = linked();
  expect(await setFlags(files, "a", APPEND_ONLY)).toBe(0);
  freeAtEnd(files);
  expect(await files.overlay.open(call, files.find("b"), O.WRONLY, opened())).toBe(Errno.EPERM);
  expect(await files.overlay.open(call, files.find("b"), O.WRONLY | O.APPEND, opened())).toBe(0);
  expect(await files.overlay.unlink(call, ROOT, "b")).toBe(Errno.EPERM);
});
