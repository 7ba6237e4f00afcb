/** Ways around a rule that do not open the governed name: each is refused, and leaves both layers unchanged. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Errno, O, RENAME } from "@sluice/vfs";
import {
  Actor,
  directory,
  file,
  hardLink,
  layers,
  mountSluice,
  mountsShareProcess,
  policyOf,
  publicFile,
  requires,
  type SluiceMount,
  symlink,
  type Tree,
  treeHash,
} from "@sluice/testkit";
import { expect } from "vitest";
import { forgetterOf } from "../../conformance/probe/forget-names.js";

mountsShareProcess();

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const DENIED = -Errno.EACCES;
/** Names of one file; one question holds at most 256. */
const MORE_THAN_A_QUESTION = 300;
const S_IFIFO = 0o010000;
const AT_SYMLINK_FOLLOW = 0x400;

const tree: Tree = {
  "secrets/x": publicFile("secret x"),
  "secrets/deep/y": publicFile("secret y"),
  "public/p": publicFile("public p"),
  "public/link-in": symlink("../secrets/x"),
  "public/link-dir": symlink("../secrets"),
};

interface Stage {
  mount: SluiceMount;
  actor: Actor;
  lower: string;
  upper: string;
  at(name: string): string;
}

async function staged(policy: string, planted: { lower?: Tree; upper?: Tree } = {}): Promise<Stage> {
  const { lower, upper } = layers({ lower: tree, ...planted });
  const mount = await mountSluice({ lowers: [lower], upper, sharedPolicy: policy });
  return { mount, actor: await Actor.start(), lower, upper, at: (name) => mount.path(name) };
}

const everything = policyOf("grant", { name: "secrets", path: "secrets/**", effect: "deny" });
const reading = policyOf("grant", { name: "secrets", path: "secrets/**", access: ["read"], effect: "deny" });
const running = policyOf("grant", { name: "secrets", path: "secrets/**", access: ["execute"], effect: "deny" });

describe("a rule that denies everything below a directory", () => {
  test("lets nobody make another name for a file in the directory", async () => {
    const { mount, actor, at, lower, upper } = await staged(everything);
    const before = treeHash(lower);
    const attempts: [string, number][] = [
      ["move a file out", await actor.do("rename", at("secrets/x"), at("public/x"))],
      ["move a file within", await actor.do("rename", at("secrets/x"), at("secrets/z"))],
      ["move its directory", await actor.do("rename", at("secrets/deep"), at("public/deep"))],
      ["move the whole directory", await actor.do("rename", at("secrets"), at("public/all"))],
      ["move the whole directory aside", await actor.do("rename", at("secrets"), at("other"))],
      ["exchange", await actor.do("rename", at("public/p"), at("secrets/x"), RENAME.EXCHANGE)],
      ["exchange, the other way round", await actor.do("rename", at("secrets/x"), at("public/p"), RENAME.EXCHANGE)],
      ["exchange directories", await actor.do("rename", at("secrets"), at("public"), RENAME.EXCHANGE)],
      ["link", await actor.do("link", at("secrets/x"), at("public/x"))],
      ["link through a symlink", await actor.do("link", at("public/link-in"), at("public/x"), AT_SYMLINK_FOLLOW)],
    ];
    expect(attempts).toEqual(attempts.map(([what]) => [what, DENIED]));
    expect(existsSync(join(upper, "secrets"))).toBe(false);
    expect(existsSync(join(upper, "public"))).toBe(false);
    expect(treeHash(lower)).toEqual(before);
    expect((await mount.stop()).code).toBe(0);
  });

  test("lets nobody add, replace or remove anything in the directory", async () => {
    const { mount, actor, at, lower, upper } = await staged(everything);
    const before = treeHash(lower);
    const attempts: [string, number][] = [
      ["create", await actor.do("open", at("secrets/new"), O.CREAT | O.RDWR)],
      ["create through a directory link", await actor.do("open", at("public/link-dir/new"), O.CREAT | O.RDWR)],
      ["rename into", await actor.do("rename", at("public/p"), at("secrets/new"))],
      ["rename over", await actor.do("rename", at("public/p"), at("secrets/x"))],
      ["link into", await actor.do("link", at("public/p"), at("secrets/new"))],
      ["nameless file, linked into", await actor.do("syscall", "tmpfile-link", at("public"), at("secrets/new"))],
      ["nameless file in it", await actor.do("syscall", "tmpfile-link", at("secrets"), at("public/new"))],
      ["mkdir", await actor.do("mkdir", at("secrets/dir"))],
      ["mknod", await actor.do("mknod", at("secrets/fifo"), S_IFIFO | 0o644)],
      ["symlink", await actor.do("symlink", "../public/p", at("secrets/sym"))],
      ["unlink", await actor.do("unlink", at("secrets/x"))],
      ["rmdir", await actor.do("rmdir", at("secrets/deep"))],
      ["truncate", await actor.do("syscall", "truncate", at("secrets/x"), 0)],
      ["truncate through a symlink", await actor.do("syscall", "truncate", at("public/link-in"), 0)],
      ["chmod", await actor.do("chmod", at("secrets/x"), 0o777)],
      ["chown", await actor.do("chown", at("secrets/x"), 1, 1)],
      ["utimes", await actor.do("utimes", at("secrets/x"), 1)],
      ["setxattr", await actor.do("setxattr", at("secrets/x"), "user.a", "b")],
      ["open through a symlink", await actor.do("open", at("public/link-in"), O.RDONLY)],
      ["open through a directory link", await actor.do("open", at("public/link-dir/deep/y"), O.RDONLY)],
    ];
    expect(attempts).toEqual(attempts.map(([what]) => [what, DENIED]));
    expect(await actor.do("stat", at("secrets/x"))).toMatchObject({ size: "8" });
    expect(existsSync(join(upper, "secrets"))).toBe(false);
    expect(treeHash(lower)).toEqual(before);
    expect((await mount.stop()).code).toBe(0);
  });

  test("allows all of this beside the directory: the refusals above are the rule's", async () => {
    const { mount, actor, at, upper } = await staged(everything, { lower: { ...tree, "public/dir/f": "f", "public/empty/": directory() } });
    const attempts: [string, number][] = [
      ["truncate", await actor.do("syscall", "truncate", at("public/p"), 3)],
      ["chmod", await actor.do("chmod", at("public/p"), 0o600)],
      ["link", await actor.do("link", at("public/p"), at("public/p2"))],
      ["rename", await actor.do("rename", at("public/p2"), at("public/p3"))],
      ["rename a directory", await actor.do("rename", at("public/dir"), at("moved"))],
      ["exchange", await actor.do("rename", at("public/p3"), at("moved/f"), RENAME.EXCHANGE)],
      ["nameless file", await actor.do("syscall", "tmpfile-link", at("public"), at("public/new"))],
      ["mkdir", await actor.do("mkdir", at("public/d"))],
      ["mknod", await actor.do("mknod", at("public/fifo"), S_IFIFO | 0o644)],
      ["symlink", await actor.do("symlink", "p", at("public/sym"))],
      ["unlink", await actor.do("unlink", at("public/sym"))],
      ["rmdir", await actor.do("rmdir", at("public/empty"))],
      ["setxattr", await actor.do("setxattr", at("public/p"), "user.a", "b")],
    ];
    expect(attempts).toEqual(attempts.map(([what]) => [what, 0]));
    expect(readFileSync(join(upper, "public/new"), "utf8")).toBe("smuggled");
    expect(await actor.do("contents", at("moved/f"))).toBe("pub");
    expect((await mount.stop()).code).toBe(0);
  });
});

describe("a rule that names one way of opening", () => {
  test("keeps a file that may not be read from being moved or linked to where it may be read", async () => {
    const { mount, actor, at } = await staged(reading);
    const attempts: [string, number][] = [
      ["move", await actor.do("rename", at("secrets/x"), at("public/x"))],
      ["move its directory", await actor.do("rename", at("secrets"), at("public/all"))],
      ["exchange", await actor.do("rename", at("public/p"), at("secrets/x"), RENAME.EXCHANGE)],
      ["link", await actor.do("link", at("secrets/x"), at("public/x"))],
    ];
    expect(attempts).toEqual(attempts.map(([what]) => [what, DENIED]));
    // A move from a lax place to a strict one loses access and never gains it. A move within one rule changes nothing.
    expect(await actor.do("rename", at("secrets/x"), at("secrets/deep/x"))).toBe(0);
    expect(await actor.do("rename", at("public/p"), at("secrets/p"))).toBe(0);
    expect(await actor.do("open", at("secrets/p"), O.RDONLY)).toBe(DENIED);
    expect((await mount.stop()).code).toBe(0);
  });

  test("judges a directory's move by a rule that names a file in it", async () => {
    const key = policyOf("grant", { name: "key", path: "vault/in/key", access: ["read"], effect: "deny" });
    const lower = { "vault/in/key": publicFile("key"), "vault/free/f": publicFile("free"), "public/p": publicFile("p") };
    const { mount, actor, at } = await staged(key, { lower });
    expect(await actor.do("rename", at("vault"), at("public/vault"))).toBe(DENIED);
    expect(await actor.do("rename", at("vault/in"), at("public/in"))).toBe(DENIED);
    expect(await actor.do("rename", at("public"), at("vault"), RENAME.EXCHANGE)).toBe(DENIED);
    expect(await actor.do("rename", at("vault/free"), at("public/free"))).toBe(0);
    expect(await actor.do("contents", at("public/free/f"))).toBe("free");
    expect(await actor.do("open", at("vault/in/key"), O.RDONLY)).toBe(DENIED);
    expect((await mount.stop()).code).toBe(0);
  });

  test("keeps a program that may not be run from being moved to where it may be run", async () => {
    const program = file("#!/bin/sh\nexit 7\n", { mode: 0o755 });
    const { mount, actor, at } = await staged(running, { lower: { "secrets/x": program, "public/p": "p" } });
    expect(await actor.do("exec", at("secrets/x"))).toBe(DENIED);
    expect(await actor.do("rename", at("secrets/x"), at("public/x"))).toBe(DENIED);
    expect(await actor.do("link", at("secrets/x"), at("public/x"))).toBe(DENIED);
    expect((await mount.stop()).code).toBe(0);
  });

  test("judges an unlinked file by its last name", async () => {
    const { mount, actor, at } = await staged(reading);
    expect(await actor.do("syscall", "reopen-unlinked", at("public/p"), O.RDONLY)).toBe(0);
    expect(await actor.do("syscall", "reopen-unlinked", at("secrets/x"), O.RDONLY)).toBe(DENIED);
    expect(await actor.do("lstat", at("secrets/x"))).toBe(-Errno.ENOENT);
    expect((await mount.stop()).code).toBe(0);
  });
});

describe("a file with several names", () => {
  for (const layer of ["lower", "upper"] as const)
    test(`of the ${layer} layer is judged by every name that the mount knows`, async () => {
      const linked = { ...tree, "public/same": hardLink("secrets/x") };
      const { mount, actor, at } = await staged(reading, { lower: {}, [layer]: linked });
      // The lax name is known first; the kernel cannot forget an open file, whatever else goes on.
      for (const name of ["public/same", "secrets/x"]) {
        expect(await actor.do("stat", at(name))).toMatchObject({ nlink: 2 });
        expect(await actor.do("open", at(name), O.PATH)).toBeGreaterThan(0);
      }
      expect(await actor.do("open", at("public/same"), O.RDONLY)).toBe(DENIED);
      expect(await actor.do("open", at("secrets/x"), O.RDONLY)).toBe(DENIED);
      await actor.stop();
      expect((await mount.stop()).code).toBe(0);
    });

  test("a file with several names in a lower layer keeps the rules of all known names when one is copied up or moved", async () => {
    const linked = { ...tree, "public/same": hardLink("secrets/x"), "public/other": hardLink("secrets/deep/y") };
    const { lower, upper } = layers({ lower: linked });
    // With an index of hard links the names stay one file.
    const mount = await mountSluice({ lowers: [lower], upper, sharedPolicy: reading, args: ["-o", "index=off"] });
    const actor = await Actor.start();
    const at = (name: string): string => mount.path(name);
    for (const name of ["public/same", "secrets/x", "public/other", "secrets/deep/y"])
      expect(await actor.do("open", at(name), O.PATH)).toBeGreaterThan(0);
    expect(await actor.do("chmod", at("public/same"), 0o666)).toBe(0);
    expect(await actor.do("open", at("public/same"), O.RDONLY)).toBe(DENIED);
    expect(await actor.do("rename", at("public/same"), at("public/moved"))).toBe(0);
    expect(await actor.do("open", at("public/moved"), O.RDONLY)).toBe(DENIED);
    expect(await actor.do("chmod", at("secrets/deep/y"), 0o666)).toBe(0);
    expect(await actor.do("open", at("public/other"), O.RDONLY)).toBe(DENIED);
    await actor.stop();
    expect((await mount.stop()).code).toBe(0);
  });

  test("is judged by the names that it had when the kernel forgot it, and by none that is gone", async () => {
    const { mount, actor, at } = await staged(reading);
    const forget = forgetterOf(mount.mountpoint);
    expect(await actor.do("link", at("public/p"), at("public/deep"))).toBe(0);
    expect(await actor.do("link", at("public/p"), at("secrets/deep/same"))).toBe(0);
    for (let round = 0; round < 2; round++) {
      forget();
      expect(await actor.do("open", at("public/p"), O.RDONLY)).toBe(DENIED);
    }
    forget();
    expect(await actor.do("rename", at("secrets/deep"), at("secrets/moved"))).toBe(0);
    expect(await actor.do("open", at("public/deep"), O.RDONLY)).toBe(DENIED);
    forget();
    expect(await actor.do("unlink", at("secrets/moved/same"))).toBe(0);
    forget();
    expect(await actor.do("contents", at("public/p"))).toBe("public p");
    expect((await mount.stop()).code).toBe(0);
  });

  test("judges a file under all its names, even more than one question holds", async () => {
    const { mount, actor, at } = await staged(reading);
    expect(await actor.do("open", at("public/p"), O.PATH)).toBeGreaterThan(0);
    for (let index = 0; index < MORE_THAN_A_QUESTION; index++)
      expect(await actor.do("link", at("public/p"), at(`public/l${index}`))).toBe(0);
    expect(await actor.do("open", at("public/l7"), O.RDONLY)).toBeGreaterThan(0);
    // The strict name comes last, so another question carries it than the one with the opened name.
    expect(await actor.do("link", at("public/p"), at("secrets/last"))).toBe(0);
    expect(await actor.do("open", at("public/l7"), O.RDONLY)).toBe(DENIED);
    expect(await actor.do("unlink", at("secrets/last"))).toBe(0);
    expect(await actor.do("open", at("public/l7"), O.RDONLY)).toBeGreaterThan(0);
    await actor.stop();
    expect((await mount.stop()).code).toBe(0);
  });

  test("keeps the strictest ruling when the strictest name is removed", async () => {
    const { mount, actor, at } = await staged(reading, { lower: {}, upper: { ...tree, "public/same": hardLink("secrets/x") } });
    const fd = await actor.do("open", at("public/same"), O.PATH);
    expect(await actor.do("stat", at("secrets/x"))).toMatchObject({ nlink: 2 });
    expect(await actor.do("unlink", at("public/same"))).toBe(0);
    expect(await actor.do("open", `/proc/self/fd/${fd}`, O.RDONLY)).toBe(DENIED);
    await actor.stop();
    expect((await mount.stop()).code).toBe(0);
  });
});
