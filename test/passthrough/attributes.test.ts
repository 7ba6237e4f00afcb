/**
 * Size, blocks and times are those of the layer's file, at once and to the nanosecond, for every caller, however the file was
 * changed or read. While nobody writes, stat costs no request.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Actor, layers, mountSluice, mountsShareProcess, publicFile, requires } from "@sluice/testkit";
import { O } from "@sluice/vfs";
import { expect } from "vitest";
import { requestsOf, WITH_METRICS } from "./harness/request-counts.js";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");
const OLD = "old content";
const WAYS = [
  "pwrite",
  "append",
  "truncate",
  "fallocate",
  "punch",
  "copy-range",
  "splice",
  "sendfile",
  "aio",
  "uring",
  "map",
  "mapclose",
  "read",
  "maprd",
];

/** Makes `stat` of a path agree between the kernel's cache and the layer. */
function same(ours: string, layer: string): string[] {
  const [a, b] = [statSync(ours, { bigint: true }), statSync(layer, { bigint: true })];
  const wrong: string[] = [];
  for (const what of ["size", "blocks", "mtimeNs", "ctimeNs", "atimeNs"] as const)
    if (a[what] !== b[what]) wrong.push(`${what} ${a[what]}, not ${b[what]}`);
  return wrong;
}

test("attributes are current after each way to change or read a file past the daemon", async () => {
  const { lower, upper } = layers({ upper: Object.fromEntries(WAYS.map((way) => [way, publicFile("0123456789".repeat(2000))])) });
  const mount = await mountSluice({ lowers: [lower], upper });
  const [actor, other] = [await Actor.start(), await Actor.start(2001)];
  for (const way of WAYS) {
    const path = mount.path(way);
    // A stat beforehand gives the kernel attributes that it could cache.
    expect([way, same(path, join(upper, way))]).toEqual([way, []]);
    expect([way, await actor.do("syscall", "touch-by", way, path)]).toEqual([way, 0]);
    expect([way, same(path, join(upper, way))]).toEqual([way, []]);
    await other.do("stat", path);
    expect([way, same(path, join(upper, way))]).toEqual([way, []]);
  }
  await actor.stop();
  await other.stop();
  await mount.stop();
});

test("attributes are current for a new file that is mapped at once, and for a file with cached attributes that is opened for writing", async () => {
  const { lower, upper } = layers({ upper: { f: publicFile(OLD.repeat(1000)) } });
  const mount = await mountSluice({ lowers: [lower], upper });
  const actor = await Actor.start();
  for (const [name, flags] of [
    ["made", O.CREAT | O.RDWR],
    ["f", O.RDWR],
  ] as const) {
    const path = mount.path(name);
    if (name === "f") same(path, join(upper, name));
    const fd = await actor.do("open", path, flags);
    if (name === "made") expect(await actor.do("syscall", "truncate", path, 4096)).toBe(0);
    const map = await actor.do("map", fd, 4096, true);
    same(path, join(upper, name));
    await actor.do("mapWrite", map, 0, "through the mapping");
    expect(await actor.do("close", fd)).toBe(0);
    await actor.do("mapWrite", map, 64, "after the close");
    expect(await actor.do("unmap", map)).toBe(0);
    expect([name, same(path, join(upper, name))]).toEqual([name, []]);
  }
  await actor.stop();
  await mount.stop();
});

test("attributes are current under concurrent writers, whenever no write is under way", async () => {
  const { lower, upper } = layers({ upper: { f: publicFile("") } });
  const mount = await mountSluice({ lowers: [lower], upper });
  const writers = await Promise.all([1, 2, 3].map(() => Actor.start()));
  const path = mount.path("f");
  const fds = await Promise.all(writers.map((writer) => writer.do("open", path, O.WRONLY | O.APPEND)));
  for (let round = 0; round < 30; round++) {
    await Promise.all(writers.map((writer, i) => writer.do("append", fds[i], "x".repeat(100 + round))));
    expect(same(path, join(upper, "f"))).toEqual([]);
  }
  for (const writer of writers) await writer.stop();
  await mount.stop();
});

test("a stat costs no request while nobody writes", async () => {
  const { lower, upper } = layers({ lower: { f: publicFile(OLD) }, upper: { g: publicFile(OLD) } });
  const mount = await mountSluice({ lowers: [lower], upper, args: WITH_METRICS });
  const actor = await Actor.start();
  const count = (): Promise<number> => requestsOf(mount, "GETATTR", "LOOKUP", "STATX");
  for (const name of ["f", "g"]) await actor.do("stat", mount.path(name));
  const asked = async (): Promise<number> => {
    const before = await count();
    for (let i = 0; i < 20; i++) for (const name of ["f", "g"]) await actor.do("stat", mount.path(name));
    return (await count()) - before;
  };
  // Another process may make the kernel forget the names in between.
  await expect.poll(asked).toBe(0);
  await actor.stop();
  await mount.stop();
});

test("a file that was created or written by an open that cannot map it is queried once only", async () => {
  const { lower, upper } = layers({ upper: { f: publicFile(OLD) } });
  const mount = await mountSluice({ lowers: [lower], upper, args: WITH_METRICS });
  const actor = await Actor.start();
  const count = (): Promise<number> => requestsOf(mount, "GETATTR", "LOOKUP", "STATX");
  for (const [name, flags] of [
    ["made", O.CREAT | O.WRONLY],
    ["f", O.WRONLY | O.TRUNC],
  ] as const) {
    const path = mount.path(name);
    same(path.replace(/made$/, "f"), join(upper, "f"));
    const fd = await actor.do("open", path, flags);
    for (const text of ["one", "two"]) {
      expect(await actor.do("append", fd, text)).toBe(3);
      expect([name, same(path, join(upper, name))]).toEqual([name, []]);
    }
    expect(await actor.do("close", fd)).toBe(0);
    await actor.do("stat", path);
    const asked = async (): Promise<number> => {
      const before = await count();
      for (let i = 0; i < 20; i++) await actor.do("stat", path);
      return (await count()) - before;
    };
    await expect.poll(asked).toBe(0);
    expect([name, same(path, join(upper, name))]).toEqual([name, []]);
  }
  await actor.stop();
  await mount.stop();
});

test("suid is gone for stat and exec at once after a passthrough write clears it", async () => {
  const program = { mode: 0o4777, content: readFileSync("/usr/bin/id") };
  const names = ["write", "truncate", "again"];
  const { lower, upper } = layers({
    upper: Object.fromEntries(names.map((name) => [name, publicFile(program.content, { mode: program.mode })])),
  });
  const mount = await mountSluice({ lowers: [lower], upper });
  const [owner, other] = [await Actor.start(), await Actor.start(2001)];
  /** The user whose rights the program runs with. Only running it tells, since stat(2) makes the kernel ask. */
  const runsAs = (path: string): string => spawnSync(path, ["-u"], { uid: 2001, gid: 2001, encoding: "latin1" }).stdout.trim();
  for (const name of names) {
    const path = mount.path(name);
    expect([name, runsAs(path)]).toEqual([name, "0"]);
    const fd = await other.do("open", path, O.WRONLY | (name === "truncate" ? O.TRUNC : 0));
    if (name === "again") expect(await owner.do("chmod", path, program.mode)).toBe(0);
    expect(await other.do("write", fd, program.content.toString("latin1", 0, 4096), 0)).toBe(4096);
    expect(await other.do("close", fd)).toBe(0);
    if (name === "truncate") writeFileSync(join(upper, name), program.content.subarray(4096), { flag: "a" });
    expect([name, runsAs(path), statSync(path).mode & 0o7777]).toEqual([name, "2001", 0o777]);
  }
  await owner.stop();
  await other.stop();
  await mount.stop();
});
