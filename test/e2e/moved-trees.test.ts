/** A directory that is moved under a policy is judged with everything in it, also what the kernel has never looked at. */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { mountSluice, requires, type Tree } from "@sluice/testkit";
import { Errno, S } from "@sluice/vfs";
import { expect } from "vitest";
import { Actor, eventually, within } from "./harness/actor.js";
import { layers, open } from "./harness/layers.js";
import { statusOf } from "./harness/told.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const policy = 'version: 1\ndefault: grant\nrules:\n  - { name: no, path: "a/**/secret", access: [read], effect: deny }\n';
const SOON_MS = 20_000;
const WATCH_MS = 500;

test("nothing is kept of what was in it, and no descriptor of what was removed since", async () => {
  const tree: Tree = {};
  for (let i = 0; i < 400; i++) tree[`b/dir${i % 40}/f${i}`] = open("content");
  const { lower, upper } = layers({ lower: tree });
  const mount = await mountSluice({ lowers: [lower], upper, policy });
  const before = (await statusOf(mount)).overlay.nodes;
  renameSync(mount.path("b"), mount.path("c"));
  writeFileSync("/proc/sys/vm/drop_caches", "2");
  // The moved directory itself may stay: it was asked for.
  await eventually("that the nodes are let go", SOON_MS, async () => (await statusOf(mount)).overlay.nodes <= before + 2);
  rmSync(mount.path("c"), { recursive: true });
  await eventually("that what was removed is closed", SOON_MS, () => !mount.descriptors().some((one) => one.endsWith(" (deleted)")));
  expect((await mount.stop()).code).toBe(0);
});

test("what comes into it while somebody is asked is judged as well", async () => {
  const { lower, upper } = layers({ lower: { "a/d/sub/plain": open("plain"), "a/e/sub/plain": open("plain"), f: open("f") } });
  const mount = await mountSluice({ lowers: [lower], upper, policy, args: ["--decision-timeout", "10m"] });
  const [mover, maker] = await Promise.all([Actor.start(), Actor.start()]);
  expect(await mover.do("contents", mount.path("f"))).toBe("f");
  for (const name of ["d", "e"]) {
    // Known to the kernel: it lets nobody look into the directory that is renamed, but into those below it.
    expect(await maker.do("stat", mount.path("a", name, "sub"))).toMatchObject({ uid: 0 });
    process.kill(mount.decisionPid as number, "SIGSTOP");
    const moved = mover.do("rename", mount.path("a", name), mount.path(name));
    expect(await within(WATCH_MS, moved)).toBe("pending");
    if (name === "d") expect(await within(WATCH_MS, maker.do("mknod", mount.path("a/d/sub/secret"), S.IFREG | 0o644))).toBe(0);
    process.kill(mount.decisionPid as number, "SIGCONT");
    expect([name, await moved]).toEqual([name, name === "d" ? -Errno.EACCES : 0]);
  }
  await Promise.all([mover.stop(), maker.stop()]);
  expect((await mount.stop()).code).toBe(0);
});
