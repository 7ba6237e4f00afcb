/**
 * Without an index of hard links a copy-up parts the names of a lower file: two files by then, of the same bytes. Each of them is judged by
 * the names of both, also by a server that did not see the copy-up.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { Actor, hardLink, layers, policyOf, publicFile, requires, runSluice } from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";
import { mountSupervised, type SupervisedMount } from "./supervised-mount.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command setfattr");

const DENIED = -Errno.EACCES;
const AMPLE_MS = 60_000;
const POLICY = policyOf("grant", { name: "secrets", path: "secrets/**", access: ["read"], effect: "deny" });

interface Stage {
  supervised: SupervisedMount;
  actor: Actor;
  lower: string;
  upper: string;
  at(name: string): string;
}

/** The copy of "public/same" has bytes that "secrets/x" denies, and that of "secrets/deep/y" those of "public/other". */
async function staged(): Promise<Stage> {
  const { lower, upper } = layers({
    lower: {
      "secrets/x": publicFile("secret x"),
      "secrets/deep/y": publicFile("secret y"),
      "public/same": hardLink("secrets/x"),
      "public/other": hardLink("secrets/deep/y"),
    },
  });
  const supervised = await mountSupervised({ lower, upper, policy: POLICY, args: ["-o", "index=off"] });
  const actor = await Actor.start();
  const at = (name: string): string => supervised.mount.path(name);
  for (const name of ["public/same", "secrets/x", "public/other", "secrets/deep/y"])
    expect(await actor.do("open", at(name), O.PATH)).toBeGreaterThan(0);
  expect(await actor.do("chmod", at("public/same"), 0o666)).toBe(0);
  expect(await actor.do("chmod", at("secrets/deep/y"), 0o666)).toBe(0);
  return { supervised, actor, lower, upper, at };
}

async function killed({ supervised }: Stage): Promise<void> {
  const before = supervised.served;
  expect(supervised.killServer()).toBe(true);
  await expect.poll(() => supervised.served, { timeout: AMPLE_MS }).toBeGreaterThan(before);
}

async function expectDenied({ actor, at }: Stage, names: readonly string[]): Promise<void> {
  for (const name of names) expect([name, await actor.do("open", at(name), O.RDONLY)]).toEqual([name, DENIED]);
}

async function ended({ supervised, actor }: Stage): Promise<void> {
  await actor.stop();
  expect((await supervised.mount.stop()).code).toBe(0);
}

/** As of a file system without file handles: nothing in the layers tells of the lower file. */
function removeOrigin(upper: string, name: string): void {
  expect(spawnSync("setfattr", ["-x", "trusted.overlay.origin", join(upper, name)]).status).toBe(0);
}

test("names that a copy-up parted are judged together after the server was killed", async () => {
  const stage = await staged();
  await expectDenied(stage, ["public/same", "public/other"]);
  await killed(stage);
  await expectDenied(stage, ["public/same", "public/other"]);
  await killed(stage);
  await expectDenied(stage, ["public/other", "public/same"]);
  await ended(stage);
});

test("names that a copy-up parted are judged together after the server was killed, on a file system without handles", async () => {
  const stage = await staged();
  for (const name of ["public/same", "secrets/deep/y"]) removeOrigin(stage.upper, name);
  await killed(stage);
  await expectDenied(stage, ["public/same", "public/other"]);
  await killed(stage);
  await expectDenied(stage, ["public/other", "public/same"]);
  await ended(stage);
});

test("names that a copy-up parted are judged together after an upgrade", async () => {
  const stage = await staged();
  expect((await runSluice(["upgrade", stage.supervised.mountpoint])).code).toBe(0);
  await expectDenied(stage, ["public/same", "public/other"]);
  await ended(stage);
});

test("a parted copy that got a further name is judged by all names after the server was killed", async () => {
  const stage = await staged();
  const { actor, at, upper } = stage;
  expect(await actor.do("link", at("secrets/deep/y"), at("secrets/again"))).toBe(0);
  expect(await actor.do("unlink", at("secrets/deep/y"))).toBe(0);
  expect(await actor.do("link", at("secrets/again"), at("secrets/more"))).toBe(0);
  removeOrigin(upper, "secrets/again");
  await killed(stage);
  await expectDenied(stage, ["public/other"]);
  await killed(stage);
  expect(await actor.do("stat", at("secrets/more"))).toMatchObject({ nlink: 2 });
  expect(await actor.do("unlink", at("secrets/again"))).toBe(0);
  await expectDenied(stage, ["public/other"]);
  await ended(stage);
});

test("a parted copy without a name is judged by the names of its lower file after the server was killed", async () => {
  const stage = await staged();
  const { actor, at } = stage;
  const fd = await actor.do("open", at("public/same"), O.PATH);
  expect(await actor.do("unlink", at("public/same"))).toBe(0);
  await killed(stage);
  expect(await actor.do("open", `/proc/self/fd/${fd}`, O.RDONLY)).toBe(DENIED);
  await ended(stage);
});

test("names that a copy-up parted are judged together by the next mount", async () => {
  const { lower, upper, ...former } = await staged();
  await ended({ lower, upper, ...former });
  const supervised = await mountSupervised({ lower, upper, policy: POLICY, args: ["-o", "index=off"] });
  const next = { lower, upper, supervised, actor: await Actor.start(), at: (name: string) => supervised.mount.path(name) };
  for (const name of ["public/same", "secrets/x", "public/other", "secrets/deep/y"])
    expect(await next.actor.do("stat", next.at(name))).toMatchObject({ size: "8" });
  await expectDenied(next, ["public/same", "public/other"]);
  await ended(next);
});
