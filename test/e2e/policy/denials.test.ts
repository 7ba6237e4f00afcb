/** A denial returns the errno that the rule asks for, applies to the named access alone, and comes before any effect. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Errno, O } from "@sluice/vfs";
import {
  Actor,
  directory,
  file,
  layers,
  mountSluice,
  mountsShareProcess,
  requires,
  type SluiceMount,
  statusOf,
  treeHash,
  unread,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const script = "#!/bin/sh\nexit 7\n";
const policy = `
version: 1
default: grant
rules:
  - { name: eacces, path: "deny/eacces", effect: deny }
  - { name: eperm, path: "deny/eperm", effect: deny, errno: EPERM }
  - { name: enoent, path: "deny/enoent", effect: deny, errno: ENOENT }
  - { name: noread, path: "only/noread", access: [read], effect: deny }
  - { name: nowrite, path: "only/nowrite", access: [write], effect: deny }
  - { name: noexec, path: "only/noexec", access: [execute], effect: deny }
  - { name: nometa, path: "only/nometa", access: [metadata], effect: deny }
  - { name: nocreate, path: "fresh/**", access: [create], effect: deny, errno: EPERM }
`;

async function mounted(): Promise<{ mount: SluiceMount; actor: Actor; upper: string; lower: string }> {
  const files = file(script, { mode: 0o777, ...unread });
  const names = ["deny/eacces", "deny/eperm", "deny/enoent", "only/noread", "only/nowrite", "only/noexec", "only/nometa"];
  const { lower, upper } = layers({ lower: { ...Object.fromEntries(names.map((name) => [name, files])), "fresh/": directory() } });
  const mount = await mountSluice({ lowers: [lower], upper, policy });
  return { mount, actor: await Actor.start(), upper, lower };
}

async function tries(actor: Actor, path: string): Promise<number[]> {
  const results: number[] = [];
  for (const flags of [O.RDONLY, O.WRONLY, O.RDWR]) {
    const fd = await actor.do("open", path, flags);
    if (fd >= 0) await actor.do("close", fd);
    results.push(Math.min(fd, 0));
  }
  results.push(Math.min(await actor.do("exec", path), 0));
  return results;
}

describe("a denied open", () => {
  test("gives the errno that the rule asks for", async () => {
    const { mount, actor } = await mounted();
    for (const [name, errno] of [
      ["eacces", Errno.EACCES],
      ["eperm", Errno.EPERM],
      ["enoent", Errno.ENOENT],
    ] as const) {
      const path = mount.path(`deny/${name}`);
      expect([name, await tries(actor, path)]).toEqual([name, [-errno, -errno, -errno, -errno]]);
      // Permissions alone decide about visibility.
      expect(await actor.do("stat", path)).toMatchObject({ size: String(script.length) });
    }
    expect(await actor.do("readdir", mount.path("deny"))).toEqual(["eacces", "enoent", "eperm"]);
    expect((await mount.stop()).code).toBe(0);
  });

  test("applies to the access that the rule names, and to no other", async () => {
    const { mount, actor } = await mounted();
    const denied = -Errno.EACCES;
    // The interpreter opens a script once more for reading, so an unreadable script ends with an error of the shell.
    const noread = await tries(actor, mount.path("only/noread"));
    expect(noread.slice(0, 3)).toEqual([denied, 0, denied]);
    expect(await tries(actor, mount.path("only/nowrite"))).toEqual([0, denied, denied, 0]);
    expect(await tries(actor, mount.path("only/noexec"))).toEqual([0, 0, 0, denied]);
    expect(await actor.do("exec", mount.path("only/nowrite"))).toBe(7);
    expect((await mount.stop()).code).toBe(0);
  });

  test("a denial of changed attributes applies to a path and to a descriptor", async () => {
    const { mount, actor, upper } = await mounted();
    const path = mount.path("only/nometa");
    const fd = await actor.do("open", path, O.RDONLY);
    const flags = await actor.do("getFlags", fd);
    expect(flags).toBeGreaterThanOrEqual(0);
    const NOATIME_FLAG = 0x80;
    expect(await actor.do("setFlags", fd, flags | NOATIME_FLAG)).toBe(-Errno.EACCES);
    for (const at of [path, `/proc/self/fd/${fd}`]) expect(await actor.do("chmod", at, 0o600)).toBe(-Errno.EACCES);
    expect(await actor.do("setxattr", path, "user.a", "b")).toBe(-Errno.EACCES);
    expect(readdirSync(upper)).toEqual([]);
    const free = await actor.do("open", mount.path("only/noexec"), O.RDONLY);
    expect(await actor.do("setFlags", free, flags | NOATIME_FLAG)).toBe(0);
    expect(await actor.do("getFlags", free)).toBe(flags | NOATIME_FLAG);
    await actor.stop();
    expect((await mount.stop()).code).toBe(0);
  });

  test("has no effect: nothing created, truncated or copied up", async () => {
    const { mount, actor, upper, lower } = await mounted();
    const before = treeHash(lower);
    for (const flags of [O.CREAT | O.RDWR, O.CREAT | O.WRONLY | O.TRUNC, O.CREAT | O.EXCL | O.RDWR]) {
      expect(await actor.do("open", mount.path("fresh/new"), flags)).toBe(-Errno.EPERM);
    }
    for (const flags of [O.WRONLY | O.TRUNC, O.RDWR | O.TRUNC, O.WRONLY | O.APPEND]) {
      expect(await actor.do("open", mount.path("only/nowrite"), flags)).toBe(-Errno.EACCES);
      expect(await actor.do("open", mount.path("deny/eacces"), flags)).toBe(-Errno.EACCES);
    }
    // O_TRUNC writes, in every access mode.
    expect(await actor.do("open", mount.path("only/nowrite"), O.RDONLY | O.TRUNC)).toBe(-Errno.EACCES);
    expect(await actor.do("lstat", mount.path("fresh/new"))).toBe(-Errno.ENOENT);
    expect(await actor.do("readdir", mount.path("fresh"))).toEqual([]);
    expect(await actor.do("contents", mount.path("only/nowrite"))).toBe(script);
    expect(readdirSync(upper)).toEqual([]);
    expect(treeHash(lower)).toEqual(before);
    expect((await statusOf(mount)).overlay.copyUps).toBe(0);
    expect((await mount.stop()).code).toBe(0);
  });

  test("leaves the bytes of an upper file", async () => {
    const { mount, actor, upper } = await mounted();
    expect(await actor.do("chmod", mount.path("only/nowrite"), 0o600)).toBe(0);
    expect(existsSync(join(upper, "only/nowrite"))).toBe(true);
    expect(await actor.do("open", mount.path("only/nowrite"), O.WRONLY | O.TRUNC)).toBe(-Errno.EACCES);
    expect(readFileSync(join(upper, "only/nowrite"), "utf8")).toBe(script);
    expect((await mount.stop()).code).toBe(0);
  });
});
