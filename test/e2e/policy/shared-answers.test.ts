/** One answer of the decision service holds for all paths that no rule tells from the first one, and for none that a rule names. */
import { Errno, O } from "@sluice/vfs";
import { writeFileSync } from "node:fs";
import { Actor, layers, mountSluice, requires, type SluiceMount, statusOf } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const POLICY = `version: 1
default: grant
rules:
  - { name: secrets, path: ["**/.env", "**/*.{pem,key}", "vault/**"], effect: deny }
  - { name: hooks, path: "**/.git/hooks/**", access: [write, create], effect: deny }
`;

async function questions(mount: SluiceMount): Promise<number> {
  return (await statusOf(mount)).decider.cache?.misses ?? -1;
}

test("files that no rule names are created, opened and removed after a handful of questions", async () => {
  const { lower, upper } = layers({ lower: { "a/b/file": "content" } });
  const mount = await mountSluice({ lowers: [lower], upper, policy: POLICY });
  const actor = await Actor.start();
  for (let count = 0; count < 200; count++) {
    const path = mount.path("a", `new-${count}`);
    const fd = await actor.do("open", path, O.CREAT | O.WRONLY, 0o644);
    expect(fd).toBeGreaterThan(0);
    await actor.do("close", fd);
    await actor.do("close", await actor.do("open", path, O.RDONLY));
  }
  expect(await questions(mount)).toBeLessThan(10);
  expect((await mount.stop()).code).toBe(0);
});

test("a name that a rule denies is denied beside others that are granted, and after an edit of the policy", async () => {
  const { lower, upper } = layers({
    lower: { "a/file": "content", "a/.env": "secret", "a/k.pem": "secret", "vault/x": "secret", "a/.git/hooks/a.sample": "" },
  });
  const mount = await mountSluice({ lowers: [lower], upper, policy: POLICY });
  const actor = await Actor.start();
  const opened = async (path: string, flags: number = O.RDONLY): Promise<number> => {
    const fd = await actor.do("open", mount.path(path), flags, 0o644);
    if (fd >= 0) await actor.do("close", fd);
    return fd < 0 ? fd : 0;
  };
  const denied = ["a/.env", "a/k.pem", "vault/x"];
  for (let round = 0; round < 3; round++) {
    expect(await opened("a/file")).toBe(0);
    for (const path of denied) expect(await opened(path)).toBe(-Errno.EACCES);
    expect(await opened(`a/new-${round}.key`, O.CREAT | O.WRONLY)).toBe(-Errno.EACCES);
    expect(await opened("a/.git/hooks/pre-commit", O.CREAT | O.WRONLY)).toBe(-Errno.EACCES);
    expect(await opened(`a/new-${round}`, O.CREAT | O.WRONLY)).toBe(0);
  }
  writeFileSync(mount.policyFile as string, POLICY.replace("**/.env", "a/file"));
  expect(await opened("a/file")).toBe(-Errno.EACCES);
  expect(await opened("a/.env")).toBe(0);
  expect((await mount.stop()).code).toBe(0);
});
