/** An operation waits for a copy-up, and meanwhile the policy or a name changes: it is judged again before it takes effect. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Errno, O } from "@sluice/vfs";
import { directory, requires, type SluiceMount } from "@sluice/testkit";
import { expect } from "vitest";
import { Actor, eventually } from "../../e2e/harness/actor.js";
import { open } from "../../e2e/harness/layers.js";
import { type Grant, grantsOf, statusOf } from "../../e2e/harness/told.js";
import { holdReads } from "./harness/held-reads.js";
import { ATTACKER, ownedLayers, setStage, type Stage } from "./harness/stage.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command cc");
/** More than is copied without waiting. */
const LARGE = Buffer.alloc(4 << 20, "large");
const AMPLE_MS = 30_000;

const ALLOWED = "version: 1\ndefault: grant\n";
const DENIED = `version: 1
default: grant
rules:
  - { name: no more, path: "**/large", access: [write, truncate, metadata, rename, link], effect: deny }
`;
const CONFIG = `version: 1
default: grant
rules:
  - { name: config, path: "**/.git/config", access: [read], effect: deny }
`;

/** Edits the policy and waits until the mount has it in force. */
async function edit(mount: SluiceMount, text: string): Promise<void> {
  const before = (await statusOf(mount)).policy?.revision.digest;
  writeFileSync(mount.policyFile as string, text);
  await eventually("the edit is in force", AMPLE_MS, async () => (await statusOf(mount)).policy?.revision.digest !== before);
}

async function denyInTheMiddle(act: (stage: Stage) => Promise<number>): Promise<Stage & { result: number }> {
  const made = ownedLayers({ large: open(LARGE), "x/": directory() });
  const { held, release } = await holdReads(join(made.lower, "large"));
  const stage = await setStage(made, { policy: ALLOWED });
  const result = act(stage);
  await held;
  await edit(stage.mount, DENIED);
  release();
  return { ...stage, result: await result };
}

const WAYS: Record<string, (stage: Stage) => Promise<number>> = {
  "an open for writing": ({ actor, at }) => actor.do("open", at("large"), O.RDWR),
  "a truncation": ({ actor, at }) => actor.do("syscall", "truncate", at("large"), LARGE.length - 1),
  "a change of mode": ({ actor, at }) => actor.do("chmod", at("large"), 0o600),
  "a new attribute": ({ actor, at }) => actor.do("setxattr", at("large"), "user.a", "b"),
  "a rename": ({ actor, at }) => actor.do("rename", at("large"), at("x/other")),
  "a link": ({ actor, at }) => actor.do("link", at("large"), at("x/other")),
};

for (const [name, act] of Object.entries(WAYS))
  test(`${name} that waits for its copy-up is refused if the policy denies it by then`, async () => {
    const { result, actor, at, mount } = await denyInTheMiddle(act);
    expect(result).toBe(-Errno.EACCES);
    expect(await grantsOf(mount)).toEqual([]);
    expect(await actor.do("stat", at("large"))).toMatchObject({ size: String(LARGE.length), mode: 0o100666, nlink: 1 });
    expect(await actor.do("getxattr", at("large"), "user.a")).toBe(-Errno.ENODATA);
    expect(await actor.do("readdir", at("x"))).toEqual([]);
    expect((await mount.stop()).code).toBe(0);
  });

test("an open that waits for its copy-up is mediated if the policy mediates it by then", async () => {
  const made = ownedLayers({ large: open(LARGE) });
  const { held, release } = await holdReads(join(made.lower, "large"));
  const { mount, actor, at } = await setStage(made, { policy: ALLOWED });
  const result = actor.do("open", at("large"), O.RDWR);
  await held;
  await edit(mount, "version: 1\ndefault: mediate\n");
  release();
  expect(await result).toBeGreaterThan(0);
  const [grant] = (await mount.grants()) as (Grant & { revoked: unknown })[];
  expect(grant).toMatchObject({ mode: "mediated", revoked: null });
  await actor.stop();
  expect((await mount.stop()).code).toBe(0);
});

test("a rename that waits for its copy-up is judged by the name that its target has by then", async () => {
  const made = ownedLayers({ ".git/config": open(LARGE), "x/.git/": directory() });
  const { held, release } = await holdReads(join(made.lower, ".git/config"));
  const { mount, actor, at } = await setStage(made, { policy: CONFIG });
  const other = await Actor.start(ATTACKER);
  const result = actor.do("rename", at(".git/config"), at("x/.git/config"));
  await held;
  expect(await other.do("rename", at("x/.git"), at("x/plain"))).toBe(0);
  release();
  expect(await result).toBeLessThan(0);
  expect(await actor.do("stat", at("x/plain/config"))).toBe(-Errno.ENOENT);
  expect((await mount.stop()).code).toBe(0);
});
