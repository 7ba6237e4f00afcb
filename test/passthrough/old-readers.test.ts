/**
 * Processes that have a lower file open during its copy-up, compared with kernel overlayfs: their calls, and the data that they
 * see.
 */
import { linkSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  Actor,
  eventually,
  layers,
  mountKernelOverlay,
  mountSluice,
  mountsShareProcess,
  policyOf,
  publicFile,
  requires,
  scratch,
  scriptOutput,
  statusOf,
  treeHash,
} from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");
const HOW = ["ftruncate", "fchmod", "fchown", "futimens", "fsetxattr", "fsync", "reopen-read", "reopen"];
const OLD = "old content";

test("calls on an old descriptor have the same results as with kernel overlayfs", async () => {
  const tree = Object.fromEntries(HOW.map((how) => [how, publicFile(OLD)]));
  const ours = layers({ lower: tree });
  const theirs = layers({ lower: tree }, scratch());
  const mount = await mountSluice({ lowers: [ours.lower], upper: ours.upper });
  const work = join(theirs.root, "work");
  mkdirSync(work);
  const kernel = mountKernelOverlay({ lowers: [theirs.lower], upper: theirs.upper, work });
  const actor = await Actor.start();
  const look = async (path: string, how: string): Promise<unknown[]> => {
    const result = await actor.do("syscall", "old-descriptor", path, how);
    return [how, result];
  };
  const seen = (upper: string, how: string): unknown => {
    const { mode, uid, gid, size, mtimeNs } = statSync(join(upper, how), { bigint: true });
    return { mode, uid, gid, size, mtimeNs: how === "futimens" ? mtimeNs : "now" };
  };
  for (const how of HOW) {
    const expected = await look(join(kernel, how), how);
    // The one difference: the kernel would open the lower file for writing, by a node that has no other name.
    expect(await look(mount.path(how), how)).toEqual(how === "reopen" ? [how, -Errno.ESTALE] : expected);
    expect([how, seen(ours.upper, how)]).toEqual([how, seen(theirs.upper, how)]);
  }
  expect((await statusOf(mount)).overlay.staleReopens).toBe(1);
  expect((await mount.cli("status")).stdout).toContain("1 open for writing by a reader's descriptor got ESTALE");
  await actor.stop();
  await mount.stop();
});

test("an open by a reader's descriptor that fails truncates nothing", async () => {
  const { lower, upper } = layers({ lower: { f: publicFile(OLD), g: publicFile(OLD) } });
  const mount = await mountSluice({ lowers: [lower], upper });
  const actor = await Actor.start();
  const [f, g] = [mount.path("f"), mount.path("g")];
  const truncates = O.WRONLY | O.TRUNC;
  const reader = await actor.do("open", f, O.RDONLY);
  expect(await actor.do("open", `/proc/self/fd/${reader}`, truncates)).toBe(-Errno.ESTALE);
  expect(await scriptOutput(["cat", f])).toBe(OLD);
  // With a name, the kernel finds the copy.
  const other = await actor.do("open", g, O.RDONLY);
  expect(await actor.do("open", g, truncates)).toBeGreaterThan(0);
  expect(await actor.do("read", other, 32, 0)).toBe(OLD);
  expect(await scriptOutput(["cat", g])).toBe("");
  await actor.stop();
  await mount.stop();
});

test("with coherent readers everybody sees current data, mapped or not, and no file of a lower layer passes through", async () => {
  const { lower, upper } = layers({ lower: { f: publicFile(OLD), g: publicFile(OLD), h: publicFile(OLD) } });
  const before = treeHash(lower);
  const mount = await mountSluice({ lowers: [lower], upper, args: ["--coherent-readers"] });
  const actor = await Actor.start();
  const [f, g] = [mount.path("f"), mount.path("g")];
  const reader = await actor.do("open", f, O.RDONLY);
  const map = await actor.do("map", reader, OLD.length, false);
  expect(await actor.do("mapRead", map, 0, OLD.length)).toBe(OLD);
  const writer = await actor.do("open", f, O.RDWR);
  expect(await actor.do("write", writer, "NEW", 0)).toBe(3);
  expect(await actor.do("read", reader, 32, 0)).toBe("NEW content");
  expect(await actor.do("mapRead", map, 0, OLD.length)).toBe("NEW content");
  expect(await actor.do("read", await actor.do("open", g, O.RDONLY), 32, 0)).toBe(OLD);
  const status = await statusOf(mount);
  expect(status.fallbacks).toMatchObject({ "coherent-readers": 2 });
  expect(await actor.do("syscall", "old-descriptor", mount.path("h"), "reopen")).toBe(0);
  for (const fd of [reader, writer]) expect(await actor.do("close", fd)).toBe(0);
  expect(await actor.do("unmap", map)).toBe(0);
  // A file of the upper layer has no readers of an older file: it passes through again.
  expect(await actor.do("open", f, O.RDWR)).toBeGreaterThan(0);
  expect((await statusOf(mount)).openFilesByMode).toMatchObject({ passthrough: 1 });
  await actor.stop();
  await mount.stop();
  expect(treeHash(lower)).toBe(before);
});

test("a mediated reader of a lower file follows it to the upper layer", async () => {
  const { lower, upper } = layers({ lower: { f: publicFile(OLD) } });
  const policy = policyOf("grant", { name: "m", subject: { uid: [2001] }, effect: "mediate" });
  const mount = await mountSluice({ lowers: [lower], upper, policy });
  const [root, mediated] = [await Actor.start(), await Actor.start(2001)];
  const path = mount.path("f");
  const reader = await mediated.do("open", path, O.RDONLY);
  const writer = await root.do("open", path, O.RDWR);
  expect(await root.do("write", writer, "NEW", 0)).toBe(3);
  expect(await mediated.do("read", reader, 32, 0)).toBe("NEW content");
  expect(await root.do("ftruncate", writer, 3)).toBe(0);
  expect(await mediated.do("read", reader, 32, 0)).toBe("NEW");
  // Data stored through a mapping of its other node arrives at the writeback.
  const mapper = await mediated.do("open", path, O.RDWR);
  const map = await mediated.do("map", mapper, 3, true);
  expect(await mediated.do("mapWrite", map, 0, "MAP")).toBe(0);
  expect(await mediated.do("fsync", mapper)).toBe(0);
  expect(await mediated.do("read", reader, 32, 0)).toBe("MAP");
  await root.stop();
  await mediated.stop();
  await mount.stop();
});

test("after the last reader of a lower file closed it, all its names lead to the copy's one node", async () => {
  const { lower, upper } = layers({ lower: { x: publicFile(OLD) } });
  linkSync(join(lower, "x"), join(lower, "y"));
  const policy = policyOf("grant", { name: "m", subject: { uid: [2001] }, effect: "mediate" });
  const mount = await mountSluice({ lowers: [lower], upper, policy });
  const [root, mediated] = [await Actor.start(), await Actor.start(2001)];
  const [x, y] = [mount.path("x"), mount.path("y")];
  const reader = await root.do("open", x, O.RDONLY);
  await root.do("stat", y);
  const writer = await mediated.do("open", x, O.RDWR);
  expect(await root.do("close", reader)).toBe(0);
  await eventually("nobody passes through", 30_000, async () => (await statusOf(mount)).openFilesByMode["passthrough"] === 0);
  const map = await mediated.do("map", await mediated.do("open", y, O.RDONLY), OLD.length, false);
  expect(await mediated.do("mapRead", map, 0, OLD.length)).toBe(OLD);
  expect(await mediated.do("write", writer, "NEW", 0)).toBe(3);
  expect(await mediated.do("mapRead", map, 0, OLD.length)).toBe("NEW content");
  const granted = await root.do("open", y, O.RDWR);
  expect(await root.do("write", granted, "XYZ", 0)).toBe(3);
  expect(await mediated.do("mapRead", map, 0, OLD.length)).toBe("XYZ content");
  await root.stop();
  await mediated.stop();
  await mount.stop();
});
