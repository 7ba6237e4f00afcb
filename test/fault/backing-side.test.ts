/** Whoever can write to the layers' directories on the host still cannot make the daemon hang, follow a link out of them, or write a lower. */
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mountSluice, requires, type SluiceMount, startScript, symlink, treeHash } from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";
import { Actor, eventually, within } from "../e2e/harness/actor.js";
import { layers, open } from "../e2e/harness/layers.js";
import { grantsOf, statusOf } from "../e2e/harness/told.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const STORM_MS = 4_000;
const AMPLE_MS = 30_000;
/** Somebody who may not read what lies outside, while the daemon may: if it shows, the daemon was led astray. */
const NOBODY = 65_534;

const SWAPPER = `
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
const { native } = await import(process.env.SLUICE_NATIVE_URL);
const [upper, outside] = process.argv.slice(1);
const at = (name) => upper + "/" + name;
const fresh = {
  file: (path) => writeFileSync(path, "inside again", { mode: 0o666 }),
  link: (path) => symlinkSync(outside + "/secret", path),
  relative: (path) => symlinkSync("../outside/secret", path),
  loop: (path) => symlinkSync(path.split("/").at(-1), path),
  fifo: (path) => native.mknodat(-100, path, 0o010666, 0, 0),
  socket: (path) => native.mknodat(-100, path, 0o140666, 0, 0),
  zero: (path) => native.mknodat(-100, path, 0o020666, 1, 5),
  directory: (path) => mkdirSync(path),
};
console.log("swapping");
for (let round = 0; ; round++) {
  for (const [i, make] of Object.values(fresh).entries()) {
    const name = at(["f0", "f1", "d/f2"][(round + i) % 3]);
    try {
      make(name + ".new");
      rmSync(name, { recursive: true, force: true });
      renameSync(name + ".new", name);
    } catch {}
    // A directory on the way becomes a link out, and comes back.
    if (i % 4 === 3) try { renameSync(at("d"), at("kept")); symlinkSync(outside, at("d")); rmSync(at("d")); renameSync(at("kept"), at("d")); } catch {}
  }
  await new Promise((resolve) => setImmediate(resolve));
}
`;

function planted(): { root: string; lower: string; upper: string; outside: string } {
  const tree = { f0: open("inside 0"), f1: open("inside 1"), "d/f2": open("inside 2") };
  const made = layers({ upper: tree, lower: { other: open("inside lower") } });
  const outside = join(made.root, "outside");
  mkdirSync(outside, { mode: 0o700 });
  for (const name of ["secret", "f2"]) writeFileSync(join(outside, name), "OUTSIDE secret", { mode: 0o600 });
  return { ...made, outside };
}

for (const effect of ["grant", "mediate"] as const) {
  test(`files, links, FIFOs and devices swapped in the upper directory while files are opened (${effect})`, async () => {
    const { lower, upper, outside } = planted();
    const policy = `version: 1\ndefault: grant\nrules:\n  - { name: all, path: "**", access: [read, write], effect: ${effect} }\n`;
    const mount = await mountSluice({ lowers: [lower], upper, policy });
    const swapper = startScript(SWAPPER, { args: [upper, outside], timeoutMs: 50_000 });
    await swapper.waitFor("swapping");
    const [reader, writer, root] = [await Actor.start(NOBODY), await Actor.start(NOBODY), await Actor.start()];
    const paths = ["f0", "f1", "d/f2", "other"].map((name) => mount.path(name));
    const storms = [
      reader.do<Record<string, number>>("stormRead", paths, STORM_MS, false),
      writer.do<Record<string, number>>("stormRead", paths, STORM_MS, true),
    ];
    const seen = await within(AMPLE_MS, Promise.all(storms));
    swapper.kill();
    await swapper.finished;
    if (seen === "pending") throw new Error("an open or a read hangs");
    for (const words of seen) {
      expect(Object.keys(words)).not.toContain("OUTSIDE");
      expect(words["inside"]).toBeGreaterThan(0);
    }
    expect(readFileSync(join(outside, "secret"), "utf8")).toBe("OUTSIDE secret");
    expect(readFileSync(join(outside, "f2"), "utf8")).toBe("OUTSIDE secret");
    // It lives, and what is there now is served.
    expect(await root.do("contents", mount.path("other"))).toMatch(/^inside/);
    expect((await statusOf(mount)).engine.inFlight).toBe(0);
    for (const actor of [reader, writer, root]) await actor.stop();
    await mount.stop();
  });
}

test("a lower full of links that lead out of it: followed by nobody but the caller", async () => {
  const { root, lower, upper, outside } = planted();
  rmSync(lower, { recursive: true });
  mkdirSync(lower);
  symlinkSync(join(outside, "secret"), join(lower, "absolute"));
  symlinkSync("../outside/secret", join(lower, "relative"));
  symlinkSync(outside, join(lower, "directory"));
  symlinkSync("/proc/self/root", join(lower, "magic"));
  symlinkSync("loop", join(lower, "loop"));
  // What an upper layer says about the lower ones is followed below their roots alone.
  mkdirSync(join(upper, "escaping"));
  const redirect = await startScript(
    `const { native } = await import(process.env.SLUICE_NATIVE_URL);
     console.log(native.setxattrat(-100, process.argv[1], "trusted.overlay.redirect", Buffer.from("/../outside"), 0));`,
    { args: [join(upper, "escaping")], input: "" },
  ).finished;
  expect(redirect.stdout.trim()).toBe("0");
  chmodSync(outside, 0o755);
  const before = treeHash(lower);
  const mountpoint = join(root, "mnt");
  mkdirSync(mountpoint);
  const mount = await mountSluice({ lowers: [lower], upper, mountpoint });
  const actor = await Actor.start(NOBODY);
  expect(await actor.do("readlink", mount.path("absolute"))).toBe(join(outside, "secret"));
  expect(await actor.do("open", mount.path("absolute"), O.RDONLY)).toBe(-Errno.EACCES);
  // Relative to where the caller sees the link: beside the mount point.
  expect(await actor.do("open", mount.path("relative"), O.RDONLY)).toBe(-Errno.EACCES);
  expect(await actor.do("open", mount.path("directory/secret"), O.RDONLY)).toBe(-Errno.EACCES);
  expect(await actor.do("open", mount.path("loop"), O.RDONLY)).toBe(-Errno.ELOOP);
  expect(await actor.do("open", mount.path("escaping/secret"), O.RDONLY)).toBeLessThan(0);
  const listed = await actor.do<string[] | number>("readdir", mount.path("escaping"));
  expect(Array.isArray(listed) ? listed : []).toEqual([]);
  expect(treeHash(lower)).toBe(before);
  await actor.stop();
  await mount.stop();
});

test("a lower file that passes through can be written by no descriptor and no mapping", async () => {
  const { lower, upper } = layers({ lower: { f: open("lower content"), link: symlink("f") } });
  const before = treeHash(lower);
  const mount = await mountSluice({ lowers: [lower], upper });
  const actor = await Actor.start();
  const fd = await actor.do("open", mount.path("f"), O.RDONLY);
  expect((await grantsOf(mount))[0]).toMatchObject({ layer: "lower0", mode: "passthrough" });
  expect(await actor.do("write", fd, "WRITTEN", 0)).toBe(-Errno.EBADF);
  expect(await actor.do("map", fd, 13, true)).toBe(-Errno.EACCES);
  expect(await actor.do("ftruncate", fd, 0)).toBe(-Errno.EINVAL);
  const again = await actor.do("open", `/proc/self/fd/${fd}`, O.RDWR);
  if (again >= 0) expect(await actor.do("write", again, "WRITTEN", 0)).toBe(7);
  expect(await actor.do("read", fd, 32, 0)).toBe("lower content");
  await actor.stop();
  await mount.stop();
  expect(treeHash(lower)).toBe(before);
});

test("a read-only mount passes through, and refuses every write", async () => {
  const { lower } = layers({ lower: { f: open("lower content") } });
  const before = treeHash(lower);
  const mount: SluiceMount = await mountSluice({ lowers: [lower] });
  const actor = await Actor.start();
  expect(await actor.do("open", mount.path("f"), O.RDWR)).toBe(-Errno.EROFS);
  expect(await actor.do("open", mount.path("new"), O.CREAT | O.RDWR)).toBe(-Errno.EROFS);
  expect(await actor.do("unlink", mount.path("f"))).toBe(-Errno.EROFS);
  expect(await actor.do("chmod", mount.path("f"), 0o600)).toBe(-Errno.EROFS);
  expect(await actor.do("contents", mount.path("f"))).toBe("lower content");
  await eventually("it is released", 10_000, async () => (await statusOf(mount)).grants === 0);
  await actor.stop();
  await mount.stop();
  expect(treeHash(lower)).toBe(before);
});
