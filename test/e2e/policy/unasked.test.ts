/** An access that the policy in force does not name costs no question, by the mount's own counters. */
import { O, RENAME } from "@sluice/vfs";
import { Actor, decisionsOf, grantsOf, layers, mountSluice, mountsShareProcess, requires, type SluiceMount } from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const S_IFIFO = 0o010000;

async function mounted(policy: string): Promise<{ mount: SluiceMount; actor: Actor; at: (name: string) => string }> {
  const { lower, upper } = layers({ lower: { "d/f": "content", "d/g": "other" } });
  const mount = await mountSluice({ lowers: [lower], upper, policy });
  return { mount, actor: await Actor.start(), at: (name) => mount.path(name) };
}

function rule(accesses: string): string {
  return `version: 1\ndefault: grant\nrules:\n  - { name: r, path: "elsewhere/**", access: [${accesses}], effect: deny }\n`;
}

async function changeAttributes(actor: Actor, at: (name: string) => string): Promise<number[]> {
  return [
    await actor.do("chmod", at("d/f"), 0o644),
    await actor.do("chown", at("d/f"), 3, 3),
    await actor.do("utimes", at("d/f"), 7),
    await actor.do("setxattr", at("d/f"), "user.a", "b"),
  ];
}

async function makeAndRemove(actor: Actor, at: (name: string) => string): Promise<number[]> {
  return [
    await actor.do("mkdir", at("d/dir")),
    await actor.do("mknod", at("d/fifo"), S_IFIFO | 0o644),
    await actor.do("symlink", "f", at("d/sym")),
    await actor.do("unlink", at("d/sym")),
    await actor.do("unlink", at("d/fifo")),
    await actor.do("rmdir", at("d/dir")),
  ];
}

async function move(actor: Actor, at: (name: string) => string): Promise<number[]> {
  return [
    await actor.do("rename", at("d/f"), at("moved")),
    await actor.do("rename", at("moved"), at("d/g"), RENAME.EXCHANGE),
    await actor.do("rename", at("d"), at("e")),
    await actor.do("link", at("moved"), at("linked")),
  ];
}

test("a policy about reading is asked nothing about operations that neither open nor move", async () => {
  const { mount, actor, at } = await mounted(rule("read"));
  expect(await changeAttributes(actor, at)).toEqual([0, 0, 0, 0]);
  expect(await makeAndRemove(actor, at)).toEqual([0, 0, 0, 0, 0, 0]);
  expect(await actor.do("syscall", "truncate", at("d/g"), 1)).toBe(0);
  expect(await decisionsOf(mount)).toBe(0);
  const fd = await actor.do("open", at("d/f"), O.RDONLY);
  expect(fd).toBeGreaterThan(0);
  expect(await decisionsOf(mount)).toBe(1);
  await actor.stop();
  expect((await mount.stop()).code).toBe(0);
});

test("a policy about attributes is asked about attribute changes, and not about names", async () => {
  const { mount, actor, at } = await mounted(rule("metadata"));
  expect(await makeAndRemove(actor, at)).toEqual([0, 0, 0, 0, 0, 0]);
  expect(await move(actor, at)).toEqual([0, 0, 0, 0]);
  expect(await actor.do("syscall", "truncate", at("moved"), 1)).toBe(0);
  expect(await decisionsOf(mount)).toBe(0);
  expect(await actor.do("chmod", at("moved"), 0o600)).toBe(0);
  expect(await decisionsOf(mount)).toBe(1);
  expect((await mount.stop()).code).toBe(0);
});

for (const access of ["delete", "truncate", "create"])
  test(`a policy about ${access} is asked about that alone`, async () => {
    const { mount, actor, at } = await mounted(rule(access));
    expect(await changeAttributes(actor, at)).toEqual([0, 0, 0, 0]);
    expect(await decisionsOf(mount)).toBe(0);
    const asked = { delete: 0, truncate: 0, create: 0 };
    await actor.do("mkdir", at("n"));
    asked.create = await decisionsOf(mount);
    await actor.do("rmdir", at("n"));
    asked.delete = (await decisionsOf(mount)) - asked.create;
    await actor.do("syscall", "truncate", at("d/g"), 1);
    asked.truncate = (await decisionsOf(mount)) - asked.create - asked.delete;
    expect(asked).toEqual({ delete: 0, truncate: 0, create: 0, [access]: 1 });
    expect((await mount.stop()).code).toBe(0);
  });

test("without a policy the mount asks no questions", async () => {
  const { lower, upper } = layers({ lower: { "d/f": "content", "d/g": "other" } });
  const mount = await mountSluice({ lowers: [lower], upper });
  const actor = await Actor.start();
  const at = (name: string): string => mount.path(name);
  expect(await changeAttributes(actor, at)).toEqual([0, 0, 0, 0]);
  expect(await move(actor, at)).toEqual([0, 0, 0, 0]);
  expect(await actor.do("open", at("moved"), O.RDWR)).toBeGreaterThan(0);
  expect(await decisionsOf(mount)).toBe(0);
  expect((await grantsOf(mount))[0]).toMatchObject({ mode: "passthrough", decision: null });
  await actor.stop();
  expect((await mount.stop()).code).toBe(0);
});
