/**
 * A process that can write to the layers' directories on the host cannot make the daemon hang, follow a link out of them, or
 * write a lower layer.
 */
import { chmodSync, chownSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  Actor,
  diffSnapshots,
  eventually,
  grantsOf,
  layers,
  mountSluice,
  policyOf,
  publicFile,
  requires,
  type SluiceMount,
  snapshot,
  startScript,
  statusOf,
  symlink,
  within,
} from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const STORM_MS = 2_500;
const AMPLE_MS = 60_000;
/**
 * This user may not read files outside the layers, while the daemon may: if their content shows, an attacker has misled the
 * daemon.
 */
const NOBODY = 65_534;

const NAMES = 90;

/** The objects that replace a file, for the program below, and by name for the test beneath it. */
const KINDS = ["link", "relative", "magic", "fifo", "socket", "device", "directory"] as const;
const MAKE = `
const { lstatSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } = await import("node:fs");
const { native } = await import(process.env.SLUICE_NATIVE_URL);
const make = {
  file: (path) => writeFileSync(path, "inside again", { mode: 0o666 }),
  link: (path, outside) => symlinkSync(outside + "/secret", path),
  relative: (path) => symlinkSync("../outside/secret", path),
  magic: (path, outside) => symlinkSync("/proc/self/cwd/../../../../../.." + outside + "/secret", path),
  fifo: (path) => native.mknodat(-100, path, 0o010666, 0, 0),
  socket: (path) => native.mknodat(-100, path, 0o140666, 0, 0),
  device: (path) => native.mknodat(-100, path, 0o020666, 1, 5),
  directory: (path) => mkdirSync(path),
};
function put(kind, path, outside) {
  make[kind](path + ".new", outside);
  if (kind === "directory") rmSync(path, { force: true });
  else if (kind !== "file" || lstatSync(path).isDirectory()) rmSync(path, { recursive: true });
  renameSync(path + ".new", path);
}
`;

const SWAPPER = `${MAKE}
const [upper, outside, kinds, names] = process.argv.slice(1);
console.log("swapping");
for (let round = 0; ; round++) {
  const name = upper + "/f" + (round % Number(names));
  // Half of the time it is a file again, so that some opens succeed.
  const kind = Math.floor(round / Number(names)) % 2 === 0 ? kinds.split(",")[round % kinds.split(",").length] : "file";
  put(kind, name, outside);
  // A directory on the way becomes a link that leads out, and comes back.
  if (round % 5 === 0) {
    renameSync(upper + "/d", upper + "/kept");
    symlinkSync(outside, upper + "/d");
    rmSync(upper + "/d");
    renameSync(upper + "/kept", upper + "/d");
  }
  await new Promise((resolve) => setTimeout(resolve, 1));
}
`;

function planted(): { root: string; lower: string; upper: string; outside: string } {
  const numbered = Array.from({ length: NAMES }, (_, i) => [`f${i}`, publicFile(`inside ${i}`)]);
  const tree = { ...Object.fromEntries(numbered), "d/f": publicFile("inside d") };
  const made = layers({ upper: tree, lower: { other: publicFile("inside lower") } });
  const outside = join(made.root, "outside");
  mkdirSync(outside, { mode: 0o700 });
  for (const name of ["secret", "f", "new"]) writeFileSync(join(outside, name), "OUTSIDE secret", { mode: 0o600 });
  return { ...made, outside };
}

for (const effect of ["grant", "mediate"] as const) {
  test(`survives files, links, FIFOs and devices swapped in the upper directory during opens (${effect})`, async () => {
    const { lower, upper, outside } = planted();
    const policy = policyOf("grant", { name: "all", path: "**", access: ["read", "write"], effect });
    const mount = await mountSluice({ lowers: [lower], upper, policy });
    // The kernel and the daemon know them as files before they become something else.
    const first = await Actor.start();
    await first.do(
      "stormRead",
      Array.from({ length: NAMES }, (_, i) => mount.path(`f${i}`)),
      1,
      false,
    );
    const swapper = startScript(SWAPPER, { args: [upper, outside, KINDS.join(","), String(NAMES)], timeoutMs: 150_000 });
    await swapper.waitFor("swapping");
    const [reader, writer, root] = [await Actor.start(NOBODY), await Actor.start(NOBODY), await Actor.start()];
    const names = Array.from({ length: NAMES }, (_, i) => `f${i}`);
    const paths = [...names, "d/f", "d/new", "other"].map((name) => mount.path(name));
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
    expect(readFileSync(join(outside, "f"), "utf8")).toBe("OUTSIDE secret");
    // The daemon lives, and serves the current files.
    expect(await root.do("contents", mount.path("other"))).toMatch(/^inside/);
    await expect.poll(async () => (await statusOf(mount)).engine.inFlight).toBe(0);
    for (const actor of [reader, writer, root]) await actor.stop();
    await mount.stop();
  });
}

/** Includes access times and links: no process may have touched any object. */
const exactly = (directory: string) => snapshot(directory, { atime: true, hardLinks: true });

test("refuses an object that was a file at its look-up, and is another kind at its use", async () => {
  const names = KINDS.flatMap((kind) => ["read", "write", "change"].map((use) => `${kind}-${use}`));
  const { lower, upper, outside } = planted();
  for (const name of names) {
    writeFileSync(join(upper, name), "inside file");
    chownSync(join(upper, name), NOBODY, NOBODY);
  }
  const before = exactly(outside);
  const mount = await mountSluice({ lowers: [lower], upper });
  const actor = await Actor.start(NOBODY);
  for (const name of names) expect(await actor.do("contents", mount.path(name))).toBe("inside file");
  const program = `${MAKE} for (const name of process.argv[3].split(",")) put(name.split("-")[0], process.argv[1] + "/" + name, process.argv[2]);`;
  expect((await startScript(program, { args: [upper, outside, names.join(",")], input: "" }).finished).stderr).toBe("");
  for (const kind of KINDS) {
    const at = (use: string): string => mount.path(`${kind}-${use}`);
    const uses = [
      actor.do<string | number>("contents", at("read")),
      actor.do("open", at("write"), O.RDWR | O.TRUNC),
      actor.do("syscall", "truncate", at("change"), 0),
      actor.do("chmod", at("change"), 0o777),
      actor.do("setxattr", at("change"), "user.a", "b"),
      actor.do("utimes", at("change"), 1),
    ];
    const results = await within(AMPLE_MS, Promise.all<string | number>(uses));
    if (results === "pending") throw new Error(`the daemon hangs on a ${kind}`);
    expect([kind, String(results[0])]).not.toEqual([kind, expect.stringContaining("OUTSIDE")]);
    expect([kind, results[0], results[1]]).toEqual([kind, expect.any(Number), expect.any(Number)]);
  }
  expect(diffSnapshots(before, exactly(outside))).toEqual([]);
  expect(await actor.do("contents", mount.path("other"))).toBe("inside lower");
  await expect.poll(async () => (await statusOf(mount)).engine.inFlight).toBe(0);
  await actor.stop();
  await mount.stop();
});

test("never follows a link that leads out of a lower layer; only the caller does", async () => {
  const { root, lower, upper, outside } = planted();
  rmSync(lower, { recursive: true });
  mkdirSync(lower);
  symlinkSync(join(outside, "secret"), join(lower, "absolute"));
  symlinkSync("../outside/secret", join(lower, "relative"));
  symlinkSync(outside, join(lower, "directory"));
  symlinkSync("/proc/self/root", join(lower, "magic"));
  symlinkSync("loop", join(lower, "loop"));
  // Pointers of an upper layer into the lower ones are followed only below the lower layers' roots.
  mkdirSync(join(upper, "escaping"));
  const redirect = await startScript(
    `const { native } = await import(process.env.SLUICE_NATIVE_URL);
     console.log(native.setxattrat(-100, process.argv[1], "trusted.overlay.redirect", Buffer.from("/../outside"), 0));`,
    { args: [join(upper, "escaping")], input: "" },
  ).finished;
  expect(redirect.stdout.trim()).toBe("0");
  chmodSync(outside, 0o755);
  const before = exactly(lower);
  const mountpoint = join(root, "mnt");
  mkdirSync(mountpoint);
  const mount = await mountSluice({ lowers: [lower], upper, mountpoint });
  const actor = await Actor.start(NOBODY);
  expect(await actor.do("readlink", mount.path("absolute"))).toBe(join(outside, "secret"));
  expect(await actor.do("open", mount.path("absolute"), O.RDONLY)).toBe(-Errno.EACCES);
  // Relative to the caller's view of the link: beside the mount point.
  expect(await actor.do("open", mount.path("relative"), O.RDONLY)).toBe(-Errno.EACCES);
  expect(await actor.do("open", mount.path("directory/secret"), O.RDONLY)).toBe(-Errno.EACCES);
  expect(await actor.do("open", mount.path("loop"), O.RDONLY)).toBe(-Errno.ELOOP);
  expect(await actor.do("open", mount.path("escaping/secret"), O.RDONLY)).toBeLessThan(0);
  const listed = await actor.do<string[] | number>("readdir", mount.path("escaping"));
  expect(Array.isArray(listed) ? listed : []).toEqual([]);
  expect(diffSnapshots(before, exactly(lower))).toEqual([]);
  await actor.stop();
  await mount.stop();
});

test("no descriptor and no mapping can write a lower file that passes through", async () => {
  const { lower, upper } = layers({ lower: { f: publicFile("lower content"), link: symlink("f") } });
  const before = exactly(lower);
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
  expect(diffSnapshots(before, exactly(lower))).toEqual([]);
});

test("a read-only mount passes through, and refuses every write", async () => {
  const { lower } = layers({ lower: { f: publicFile("lower content") } });
  const before = exactly(lower);
  const mount: SluiceMount = await mountSluice({ lowers: [lower] });
  const actor = await Actor.start();
  expect(await actor.do("open", mount.path("f"), O.RDWR)).toBe(-Errno.EROFS);
  expect(await actor.do("open", mount.path("new"), O.CREAT | O.RDWR)).toBe(-Errno.EROFS);
  expect(await actor.do("unlink", mount.path("f"))).toBe(-Errno.EROFS);
  expect(await actor.do("chmod", mount.path("f"), 0o600)).toBe(-Errno.EROFS);
  expect(await actor.do("contents", mount.path("f"))).toBe("lower content");
  await eventually("the open is released", 30_000, async () => (await statusOf(mount)).grants === 0);
  await actor.stop();
  await mount.stop();
  expect(diffSnapshots(before, exactly(lower))).toEqual([]);
});
