/** Layers that lie on an overlay themselves: mediated and counted where they are too deep, and no loss to the others. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { cleanUp, mountKernelOverlay, mountSluice, plant, requires, scratch, type SluiceMount } from "@sluice/testkit";
import { O } from "@sluice/vfs";
import { expect } from "vitest";
import { Actor } from "./harness/actor.js";
import { layers, open } from "./harness/layers.js";
import { grantsOf, statusOf } from "./harness/told.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough", "kernel overlayfs");

async function mounted(depth: 1 | 2): Promise<{ mount: SluiceMount; actor: Actor }> {
  const stacked = mountKernelOverlay({ lowers: [plant(scratch(), { deep: open("deep") }), plant(scratch(), { deeper: "deeper" })] });
  const { lower, upper } = layers({ lower: { flat: open("flat") } });
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
  const status = await statusOf(mount);
  expect(status.fallbacks).toEqual({ "stack-depth": 1 });
  expect(status.engine.maxStackDepth).toBe(1);
  const eligible = status.overlay.layers.map(({ name, passthrough }) => [name, passthrough.eligible]);
  expect(eligible).toEqual([
    ["upper", expect.any(Boolean)],
    ["lower0", false],
    ["lower1", true],
  ]);
  // Copied up, it lies on a disk.
  const writer = await actor.do("open", mount.path("deeper"), O.RDWR);
  expect((await grantsOf(mount)).at(-1)).toMatchObject({ layer: "upper", mode: "passthrough", fallback: null });
  expect(writer).toBeGreaterThan(0);
  await actor.stop();
  await mount.stop();
});

test("depth 2: it passes through as well", async () => {
  const { mount, actor } = await mounted(2);
  for (const name of ["deep", "flat"]) expect(await actor.do("open", mount.path(name), O.RDONLY)).toBeGreaterThan(0);
  expect((await grantsOf(mount)).map(({ mode }) => mode)).toEqual(["passthrough", "passthrough"]);
  expect((await statusOf(mount)).fallbacks).toEqual({});
  await actor.stop();
  await mount.stop();
});

test("depth 1: overlayfs can be mounted on top, and reads what we grant", async () => {
  const { root, lower, upper } = layers({ lower: { "d/f": open("from below") } });
  const mount = await mountSluice({ lowers: [lower], upper });
  const [top, above, work] = ["top", "above", "above.work"].map((name) => join(root, name)) as [string, string, string];
  for (const path of [top, above, work]) mkdirSync(path);
  // By a process of its own, which may hang where we must not.
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
