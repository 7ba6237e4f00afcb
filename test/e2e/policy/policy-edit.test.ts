/**
 * The mount looks at the policy file before each decision: an edit applies to the very next open, and a mistake changes
 * nothing.
 */
import { Errno, O } from "@sluice/vfs";
import { writeFileSync } from "node:fs";
import { Actor, eventually, grantsOf, layers, mountSluice, requires, type SluiceMount, statusOf } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");

function edit(mount: SluiceMount, text: string): void {
  writeFileSync(mount.policyFile as string, text);
}

function policy(effect: string): string {
  return `version: 1\ndefault: grant\nrules:\n  - { name: the-file, path: "file", effect: ${effect} }\n`;
}

async function mounted(): Promise<{ mount: SluiceMount; actor: Actor }> {
  const { lower, upper } = layers({ lower: { file: "content" } });
  const mount = await mountSluice({ lowers: [lower], upper, policy: policy("grant") });
  return { mount, actor: await Actor.start() };
}

/** "denied", or the open's mode as `sluice grants` tells it. */
async function outcome(mount: SluiceMount, actor: Actor): Promise<string> {
  const fd = await actor.do("open", mount.path("file"), O.RDONLY);
  if (fd === -Errno.EACCES) return "denied";
  if (fd < 0) return String(fd);
  const mode = (await grantsOf(mount))[0]?.mode ?? "no grant";
  await actor.do("close", fd);
  return mode;
}

test("an edit applies to the very next open, without a restart", async () => {
  const { mount, actor } = await mounted();
  const child = mount.decisionPid;
  const seen: string[] = [];
  const effects = ["deny", "grant", "mediate", "deny", "mediate", "grant", "deny", "grant"];
  for (const effect of effects) {
    edit(mount, policy(effect));
    seen.push(await outcome(mount, actor));
    await eventually("the file is closed", 30_000, async () => (await statusOf(mount)).grants === 0);
  }
  expect(seen).toEqual(effects.map((effect) => ({ deny: "denied", grant: "passthrough", mediate: "mediated" })[effect]));
  expect(mount.decisionPid).toBe(child);
  expect((await mount.stop()).code).toBe(0);
});

test("a newly added rule reaches accesses that nobody asked about before", async () => {
  const { mount, actor } = await mounted();
  expect(await actor.do("syscall", "truncate", mount.path("file"), 3)).toBe(0);
  edit(mount, "version: 1\ndefault: grant\nrules:\n  - { name: no, path: file, access: [truncate], effect: deny }\n");
  // The mount hears of the new policy with its next decision or by itself, whichever is first.
  await eventually("the mount knows", 30_000, async () => (await statusOf(mount)).policy?.governs.includes("truncate") === true);
  expect(await actor.do("syscall", "truncate", mount.path("file"), 0)).toBe(-Errno.EACCES);
  expect((await mount.stop()).code).toBe(0);
});

test("a mistake leaves the old policy in force, and is reported", async () => {
  const { mount, actor } = await mounted();
  edit(mount, policy("deny"));
  expect(await outcome(mount, actor)).toBe("denied");
  const good = await statusOf(mount);
  edit(mount, "version: 1\ndefault: grnt\nrules: []\n");
  expect(await outcome(mount, actor)).toBe("denied");
  expect((await statusOf(mount)).policy?.revision).toEqual(good.policy?.revision);
  await eventually(
    "status names the mistake",
    10_000,
    async () => (await statusOf(mount)).policy?.refusedEdit?.includes("policy.yaml:2:10") === true,
  );
  await eventually("the log names the mistake", 30_000, () => /policy\.yaml:2:10: 'default' is none of/.test(mount.log()));
  edit(mount, policy("grant"));
  expect(await outcome(mount, actor)).toBe("passthrough");
  const mended = await statusOf(mount);
  expect(mended.policy?.revision.digest).not.toBe(good.policy?.revision.digest);
  expect(mended.policy?.refusedEdit).toBeNull();
  expect((await mount.stop()).code).toBe(0);
});
