/**
 * `sluice status` and `sluice grants` agree with the real opens, their callers and modes, and layers are free after the mount
 * ends.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Actor, grantsOf, layers, mountsShareProcess, mountSluice, plant, publicFile, requires, scratch, statusOf } from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");
const USER = 2002;
const policy = `
version: 1
default: grant
rules:
  - { name: no, path: "denied", effect: deny }
  - { name: slow, path: "slow", effect: mediate }
`;

test("every open is listed with its caller, mode and rule while it lasts, and no longer", async () => {
  const { lower, upper } = layers({ lower: { fast: publicFile("fast"), slow: publicFile("slow"), denied: publicFile("denied") } });
  const mount = await mountSluice({ lowers: [lower], upper, sharedPolicy: policy });
  const [root, user] = [await Actor.start(), await Actor.start(USER)];
  const at = (name: string): string => mount.path(name);
  const reader = await user.do("open", at("fast"), O.RDONLY);
  const slow = await root.do("open", at("slow"), O.RDWR);
  expect(await root.do("open", at("denied"), O.RDONLY)).toBe(-Errno.EACCES);
  const created = await root.do("open", at("made"), O.CREAT | O.RDWR);
  const { policy: inForce } = await statusOf(mount);
  const revision = inForce?.revision.digest;
  const shown = (await grantsOf(mount)).map(({ decision, ...rest }) => ({ ...rest, decision: typeof decision }));
  const common = { fallback: null, revision, decision: "string" };
  expect(shown.map((grant) => expect.objectContaining(grant))).toHaveLength(3);
  expect(shown).toMatchObject([
    { ...common, path: "fast", layer: "lower0", mode: "passthrough", write: false, pid: user.pid, uid: USER, rule: "default" },
    { ...common, path: "slow", layer: "upper", mode: "mediated", write: true, pid: root.pid, uid: 0, rule: "slow" },
    { ...common, path: "made", layer: "upper", mode: "passthrough", write: true, pid: root.pid, uid: 0, rule: "default" },
  ]);
  expect(await root.do("write", slow, "12345", 0)).toBe(5);
  const status = await statusOf(mount);
  expect(status.decisions).toEqual({ "grant/service": 2, "mediate/service": 1, "deny/service": 1 });
  expect(status.openFilesByMode).toMatchObject({ passthrough: 2, mediated: 1 });
  expect(status.mediatedBytes["write"]).toBe(5);
  expect(status).toMatchObject({ pid: mount.serverPid, state: "serving", grants: 3, anomalies: 0, fallbacks: {} });
  expect(status.overlay).toMatchObject({ openFiles: 3, copyUps: 1 });
  await user.do("close", reader);
  await root.do("close", slow);
  await expect.poll(async () => (await grantsOf(mount)).map(({ path }) => path)).toEqual(["made"]);
  // A descriptor that another process shares is still one open.
  await root.do("close", created);
  await expect.poll(async () => (await statusOf(mount)).grants).toBe(0);
  expect((await statusOf(mount)).openFilesByMode).toMatchObject({ passthrough: 0, mediated: 0 });
  await mount.stop();
});

test("a killed caller's opens leave the list", async () => {
  const { lower, upper } = layers({ lower: { fast: publicFile("fast"), slow: publicFile("slow") } });
  const mount = await mountSluice({ lowers: [lower], upper, sharedPolicy: policy });
  const actor = await Actor.start();
  for (const name of ["fast", "slow"]) await actor.do("open", mount.path(name), O.RDWR);
  expect((await statusOf(mount)).grants).toBe(2);
  await actor.stop();
  await expect.poll(async () => (await statusOf(mount)).grants).toBe(0);
  await mount.stop();
});

requires("/dev/fuse", "CAP_SYS_ADMIN", "loop devices", "command mkfs.ext4").test(
  "layers on a file system of their own can be unmounted at once",
  async () => {
    const disk = scratch({ on: "ext4-loop" });
    const [lower, upper, work] = ["lower", "upper", "work"].map((name) => join(disk, name)) as [string, string, string];
    for (const path of [lower, upper, work]) mkdirSync(path);
    plant(lower, { "a/f": publicFile("f"), "b/g": publicFile("g") });
    const mount = await mountSluice({ lowers: [lower], upper, work, policy, ownProcess: true });
    const actor = await Actor.start();
    const fd = await actor.do("open", mount.path("a/f"), O.RDWR);
    expect(await actor.do("write", fd, "x", 0)).toBe(1);
    expect(await actor.do("contents", mount.path("b/g"))).toBe("g");
    await actor.stop();
    expect((await mount.stop()).code).toBe(0);
    execFileSync("umount", [disk], { stdio: "pipe" });
  },
);

test("a mediated open beside a grant is shown with its mappings passing through", async () => {
  const { lower, upper } = layers({ lower: { fast: publicFile("fast") } });
  const rules = `rules:\n  - { name: slow, subject: { uid: [${USER}] }, effect: mediate }\n`;
  const mount = await mountSluice({ lowers: [lower], upper, sharedPolicy: `version: 1\ndefault: grant\n${rules}` });
  const [root, user] = [await Actor.start(), await Actor.start(USER)];
  for (const actor of [user, root, user]) expect(await actor.do("open", mount.path("fast"), O.RDONLY)).toBeGreaterThan(0);
  // The first one came before the grant, and keeps its mode.
  expect((await mount.cli("grants")).stdout).not.toContain("mappings pass through");
  await user.stop();
  await root.stop();
  await expect.poll(async () => (await statusOf(mount)).grants).toBe(0);
  const [granted, beside] = [await Actor.start(), await Actor.start(USER)];
  for (const actor of [granted, beside]) expect(await actor.do("open", mount.path("fast"), O.RDONLY)).toBeGreaterThan(0);
  const lines = (await mount.cli("grants")).stdout.split("\n").filter((line) => line.includes("mappings pass through"));
  expect(lines).toEqual([expect.stringMatching(/fast +lower0 +mediated/)]);
  expect(lines[0]).toContain(String(beside.pid));
  await granted.stop();
  await beside.stop();
  await mount.stop();
});
