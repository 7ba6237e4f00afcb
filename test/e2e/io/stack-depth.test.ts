/**
 * Stacked file systems: layers on an overlay or on Sluice itself, overlayfs on top, and a container with its root on the mount.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import {
  Actor,
  cleanUp,
  directory,
  grantsOf,
  layers,
  mountKernelOverlay,
  mountSluice,
  mountsShareProcess,
  plant,
  policyOf,
  publicFile,
  requires,
  runScript,
  scratch,
  type SluiceMount,
  statusOf,
} from "@sluice/testkit";
import { O } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough", "kernel overlayfs");

async function mounted(depth: 1 | 2): Promise<{ mount: SluiceMount; actor: Actor }> {
  const stacked = mountKernelOverlay({ lowers: [plant(scratch(), { deep: publicFile("deep") }), plant(scratch(), { deeper: "deeper" })] });
  const { lower, upper } = layers({ lower: { flat: publicFile("flat") } });
  const mount = await mountSluice({ lowers: [stacked, lower], upper, args: ["--max-stack-depth", String(depth)] });
  return { mount, actor: await Actor.start() };
}

test("depth 1: a layer on overlayfs is mediated, counted and explained; the others pass through", async () => {
  const { mount, actor } = await mounted(1);
  const fds = [await actor.do("open", mount.path("deep"), O.RDONLY), await actor.do("open", mount.path("flat"), O.RDONLY)];
  expect(await actor.do("read", fds[0], 10, 0)).toBe("deep");
  expect(await actor.do("read", fds[1], 10, 0)).toBe("flat");
  const told = (await grantsOf(mount)).map(({ path, layer, mode, fallback }) => ({ path, layer, mode, fallback }));
  expect(told).toEqual([
    { path: "deep", layer: "lower0", mode: "mediated", fallback: "stack-depth" },
    { path: "flat", layer: "lower1", mode: "passthrough", fallback: null },
  ]);
  expect(await actor.do("contents", mount.path("deeper"))).toBe("deeper");
  const status = await statusOf(mount);
  expect(status.fallbacks).toEqual({ "stack-depth": 2 });
  expect(mount.log().match(/a granted open is mediated: further/g)).toHaveLength(1);
  expect(status.engine.maxStackDepth).toBe(1);
  const eligible = status.overlay.layers.map(({ name, passthrough }) => [name, passthrough.eligible]);
  expect(eligible).toEqual([
    ["upper", expect.any(Boolean)],
    ["lower0", false],
    ["lower1", true],
  ]);
  // Its copy lies on a disk.
  const writer = await actor.do("open", mount.path("deeper"), O.RDWR);
  expect((await grantsOf(mount)).at(-1)).toMatchObject({ layer: "upper", mode: "passthrough", fallback: null });
  expect(writer).toBeGreaterThan(0);
  await actor.stop();
  await mount.stop();
});

test("depth 2: a layer on overlayfs passes through", async () => {
  const { mount, actor } = await mounted(2);
  for (const name of ["deep", "flat"]) expect(await actor.do("open", mount.path(name), O.RDONLY)).toBeGreaterThan(0);
  expect((await grantsOf(mount)).map(({ mode }) => mode)).toEqual(["passthrough", "passthrough"]);
  expect((await statusOf(mount)).fallbacks).toEqual({});
  await actor.stop();
  await mount.stop();
});

test("depth 1: overlayfs can be mounted on top, and reads granted files", async () => {
  const { root, lower, upper } = layers({ lower: { "d/f": publicFile("from below") } });
  const mount = await mountSluice({ lowers: [lower], upper });
  const [top, above, work] = ["top", "above", "above.work"].map((name) => join(root, name)) as [string, string, string];
  for (const path of [top, above, work]) mkdirSync(path);
  // A process of its own does it: it may hang, and the test must not.
  execFileSync("mount", ["-t", "overlay", "-o", `lowerdir=${mount.mountpoint},upperdir=${above},workdir=${work}`, "top", top], {
    timeout: 20_000,
  });
  cleanUp(() => void execFileSync("umount", ["-l", top]));
  const actor = await Actor.start();
  expect(await actor.do("contents", join(top, "d/f"))).toBe("from below");
  const fd = await actor.do("open", join(top, "d/f"), O.RDWR);
  expect(await actor.do("write", fd, "FROM", 0)).toBe(4);
  expect(await actor.do("read", fd, 32, 0)).toBe("FROM below");
  expect(await actor.do("contents", mount.path("d/f"))).toBe("from below");
  const reader = await actor.do("open", mount.path("d/f"), O.RDONLY);
  expect((await grantsOf(mount)).find(({ pid }) => pid === actor.pid)?.mode).toBe("passthrough");
  expect(reader).toBeGreaterThan(0);
  await actor.stop();
});

test("depth 2: the kernel refuses overlayfs on top, and status says so beforehand", async () => {
  const { root, lower, upper } = layers({ lower: { "d/f": publicFile("from below") } });
  const mount = await mountSluice({ lowers: [lower], upper, args: ["--max-stack-depth", "2"] });
  const top = join(root, "top");
  mkdirSync(top);
  const result = await runScript(["mount", "-t", "overlay", "-o", `lowerdir=${mount.mountpoint}:${lower}`, "top", top]);
  cleanUp(() => void spawnSync("umount", ["-l", top], { stdio: "ignore" }));
  expect(result.code).not.toBe(0);
  expect((await mount.cli("status")).stdout).toContain("passthrough on (max stack depth 2: no overlayfs can be mounted on top)");
  await mount.stop();
});

test("overlayfs refuses an upper layer on Sluice, as on every file system that revalidates names", async () => {
  const { root, lower, upper } = layers({ lower: { "d/f": publicFile("from below"), "upper/": directory(), "work/": directory() } });
  const mount = await mountSluice({ lowers: [lower], upper });
  const top = join(root, "top");
  mkdirSync(top);
  const options = `lowerdir=${lower},upperdir=${mount.path("upper")},workdir=${mount.path("work")}`;
  const result = await runScript(["mount", "-t", "overlay", "-o", options, "top", top]);
  cleanUp(() => void spawnSync("umount", ["-l", top], { stdio: "ignore" }));
  expect(result.code).not.toBe(0);
  expect(result.stderr).toMatch(/wrong fs type|Invalid argument/);
  await mount.stop();
});

test("Sluice on Sluice is mediated at depth 1 with the reason told, passes through at depth 2, and is coherent in both cases", async () => {
  const { lower, upper } = layers({ lower: { "d/f": publicFile("from below") } });
  const below = await mountSluice({ lowers: [lower], upper });
  for (const [depth, mode, fallback] of [
    ["1", "mediated", "stack-depth"],
    ["2", "passthrough", null],
  ] as const) {
    const above = layers({});
    const mount = await mountSluice({ lowers: [below.mountpoint], upper: above.upper, args: ["--max-stack-depth", depth] });
    const actor = await Actor.start();
    const reader = await actor.do("open", mount.path("d/f"), O.RDONLY);
    expect(await actor.do("read", reader, 32, 0)).toBe("from below");
    expect(await grantsOf(mount)).toMatchObject([{ path: "d/f", layer: "lower0", mode, fallback }]);
    const writer = await actor.do("open", mount.path("d/f"), O.RDWR);
    expect(await actor.do("write", writer, "FROM", 0)).toBe(4);
    expect(await actor.do("contents", mount.path("d/f"))).toBe("FROM below");
    expect(await actor.do("contents", below.path("d/f"))).toBe("from below");
    const [, layer] = (await statusOf(mount)).overlay.layers;
    if (depth === "1") expect(layer?.passthrough.reason).toContain("mount with --max-stack-depth 2");
    else expect(layer?.passthrough).toEqual({ eligible: true });
    await actor.stop();
    await mount.stop();
  }
  await below.stop();
});

/** A root file system of a few programs and their libraries, in a mount namespace of its own whose root is the mount. */
const CONTAINER = `
set -e
mount --make-rprivate /
cd "$1"
mkdir -p old proc
pivot_root . old
mount -t proc proc /proc
umount -l /old
rmdir /old
exec /bin/sh -c 'cat /etc/motd; echo changed > /etc/motd; ln /etc/motd /etc/again; cat /etc/again; ls /; test -e /secret/key && cat /secret/key 2>&1 || true'
`;

test("a container with its root on the mount runs programs, and the policy applies inside", async () => {
  const { lower, upper } = layers({ lower: { "etc/motd": publicFile("welcome\n"), "secret/key": publicFile("key"), "bin/": directory() } });
  const programs = ["sh", "cat", "ls", "ln", "mount", "umount", "rmdir"].map((name) =>
    execFileSync("which", [name], { encoding: "utf8" }).trim(),
  );
  const libraries = execFileSync("ldd", programs, { encoding: "utf8" }).matchAll(/(\/[^ :]+) \(0x/g);
  for (const path of new Set([...libraries].map(([, path]) => path as string))) {
    mkdirSync(join(lower, dirname(path)), { recursive: true });
    copyFileSync(path, join(lower, path));
  }
  for (const path of programs) copyFileSync(path, join(lower, "bin", basename(path)));
  const policy = policyOf("grant", { name: "secrets", path: "secret/**", effect: "deny" });
  const mount = await mountSluice({ lowers: [lower], upper, policy });
  const env = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" };
  const { stdout, stderr } = await runScript(["unshare", "-m", "-p", "-f", "sh", "-c", CONTAINER, "sh", mount.mountpoint], { env });
  expect(stderr).toBe("");
  expect(stdout.split("\n").filter((line) => line !== "")).toEqual(
    expect.arrayContaining(["welcome", "changed", "etc", "proc", "cat: /secret/key: Permission denied"]),
  );
  expect((await statusOf(mount)).fallbacks).toEqual({});
  expect(Object.keys((await statusOf(mount)).decisions)).toEqual(expect.arrayContaining(["deny/service"]));
  await mount.stop();
});
