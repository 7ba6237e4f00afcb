/**
 * A policy that only root, or only its owner, may read: the mount opens it for the decision service, with the rights of the
 * right user.
 */
import { chmodSync, chownSync, cpSync, linkSync, mkdirSync, renameSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Errno, O } from "@sluice/vfs";
import { Actor, mountSluice, plant, requires, runSluice, scratch, type SluiceMount } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const USER = 1_000;

function policy(effect: string): string {
  return `version: 1\ndefault: grant\nrules:\n  - { name: the-file, path: "file", effect: ${effect} }\n`;
}

/** A new directory that only root may enter. */
function privateDirectory(): string {
  const directory = join(scratch(), "private");
  mkdirSync(directory, { mode: 0o700 });
  return directory;
}

function mountWith(file: string): Promise<SluiceMount> {
  return mountSluice({ lowers: [plant(scratch(), { file: "content" })], args: ["--policy", file] });
}

async function outcome(mount: SluiceMount, actor: Actor): Promise<string> {
  const fd = await actor.do("open", mount.path("file"), O.RDONLY);
  if (fd < 0) return fd === -Errno.EACCES ? "deny" : String(fd);
  await actor.do("close", fd);
  return "grant";
}

/** The result of the next open after each step. */
async function afterEach(mount: SluiceMount, steps: readonly (() => void)[]): Promise<string[]> {
  const actor = await Actor.start();
  const seen = [await outcome(mount, actor)];
  for (const step of steps) {
    step();
    seen.push(await outcome(mount, actor));
    // Nor is a cached answer used.
    seen.push(await outcome(mount, actor));
  }
  expect((await mount.stop()).code).toBe(0);
  return seen;
}

const twice = (...effects: readonly string[]): string[] => effects.flatMap((effect, at) => (at === 0 ? [effect] : [effect, effect]));

test("reads a policy in a directory of root's alone; writing it, or renaming another over it, applies to the very next open", async () => {
  const file = join(privateDirectory(), "policy.yaml");
  writeFileSync(file, policy("deny"), { mode: 0o600 });
  const write = (effect: string) => (): void => writeFileSync(file, policy(effect));
  const rename = (effect: string) => (): void => {
    writeFileSync(`${file}.new`, policy(effect), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  };
  const steps = [write("grant"), write("deny"), rename("grant"), rename("deny"), write("grant")];
  expect(await afterEach(await mountWith(file), steps)).toEqual(twice("deny", "grant", "deny", "grant", "deny", "grant"));
});

test("swapping a directory's link, as a ConfigMap does it, applies to the very next open", async () => {
  const at = join(privateDirectory(), "mounted");
  mkdirSync(at);
  for (const [name, effect] of [
    ["..1", "deny"],
    ["..2", "grant"],
  ] as const) {
    mkdirSync(join(at, name), { mode: 0o700 });
    writeFileSync(join(at, name, "policy.yaml"), policy(effect));
  }
  const swap = (name: string) => (): void => {
    symlinkSync(name, join(at, "..data_tmp"));
    renameSync(join(at, "..data_tmp"), join(at, "..data"));
  };
  swap("..1")();
  symlinkSync("..data/policy.yaml", join(at, "policy.yaml"));
  expect(await afterEach(await mountWith(at), [swap("..2"), swap("..1"), swap("..2")])).toEqual(twice("deny", "grant", "deny", "grant"));
});

// sha256 of "content", and of an empty file.
const KNOWN = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";
const OTHER = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const LISTED = `version: 1
default: grant
digests: { known: lists/known.txt }
rules:
  - { name: known, when: "resource.digest in digests.known", effect: deny }
`;

function plantVersion(directory: string, digest: string): void {
  mkdirSync(join(directory, "lists"), { recursive: true, mode: 0o700 });
  writeFileSync(join(directory, "lists/known.txt"), `${digest}\n`, { mode: 0o600 });
}

test("sees a swapped directory link although the first file of both directories is the same", async () => {
  const root = privateDirectory();
  plantVersion(join(root, "one"), KNOWN);
  plantVersion(join(root, "two"), OTHER);
  writeFileSync(join(root, "one/policy.yaml"), LISTED);
  linkSync(join(root, "one/policy.yaml"), join(root, "two/policy.yaml"));
  symlinkSync("one", join(root, "current"));
  const swap = (): void => {
    symlinkSync("two", join(root, "next"));
    renameSync(join(root, "next"), join(root, "current"));
  };
  expect(await afterEach(await mountWith(join(root, "current")), [swap])).toEqual(twice("deny", "grant"));
});

test("reads files that the policy names, and an edit of one applies to the very next open", async () => {
  const root = privateDirectory();
  plantVersion(root, KNOWN);
  writeFileSync(join(root, "policy.yaml"), LISTED, { mode: 0o600 });
  const steps = [(): void => plantVersion(root, OTHER), (): void => plantVersion(root, KNOWN)];
  expect(await afterEach(await mountWith(join(root, "policy.yaml")), steps)).toEqual(twice("deny", "grant", "deny"));
});

test("names the place of a mistake in a private policy", async () => {
  const file = join(privateDirectory(), "policy.yaml");
  writeFileSync(file, "version: 1\ndefault: grnt\n", { mode: 0o600 });
  const { code, stderr } = await runSluice(["mount", "--lower", scratch(), "--policy", file, scratch()]);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/policy\.yaml:2:10: 'default' is none of .*did you mean 'grant'/)]);
});

interface PrivateFiles {
  /** Belongs to the user, readable to nobody else. */
  home: string;
  /** Belongs to root, readable to nobody else. */
  secret: string;
}

function privateFiles(): PrivateFiles {
  const root = scratch();
  chmodSync(root, 0o755);
  const [home, secret] = [join(root, "home"), join(root, "secret.yaml")];
  mkdirSync(home, { mode: 0o700 });
  chownSync(home, USER, USER);
  writeFileSync(secret, "token: of-root-alone\n", { mode: 0o600 });
  return { home, secret };
}

function writeAs(file: string, text: string): void {
  writeFileSync(file, text, { mode: 0o600 });
  chownSync(file, USER, USER);
}

async function refusal(file: string): Promise<string> {
  const { code, stderr } = await runSluice(["mount", "--lower", scratch(), "--policy", file, scratch()]);
  expect(code).toBe(2);
  expect(stderr).not.toContain("token");
  expect(stderr).not.toContain("of-root-alone");
  return stderr;
}

test("a policy in a user's home is read with the user's rights, and leads to nothing that only root may read", async () => {
  const { home, secret } = privateFiles();
  const file = join(home, "policy.yaml");
  writeAs(file, policy("deny"));
  expect(await afterEach(await mountWith(file), [(): void => writeAs(file, policy("grant"))])).toEqual(twice("deny", "grant"));

  // Three attacks: a link instead of the policy, root's policy moved into the user's directory, and a name in the user's text.
  symlinkSync(secret, join(home, "link.yaml"));
  expect(await refusal(join(home, "link.yaml"))).toContain("(EACCES)");
  cpSync(secret, join(home, "moved.yaml"));
  chmodSync(join(home, "moved.yaml"), 0o600);
  expect(await refusal(join(home, "moved.yaml"))).toContain("(EACCES)");
  writeAs(file, `kind: chain\npolicies: [${secret}]\n`);
  expect(await refusal(file)).toContain("(EACCES)");
});

test("a user's policy that becomes a link to a file of root's alone stays in force unchanged", async () => {
  const { home, secret } = privateFiles();
  const file = join(home, "policy.yaml");
  writeAs(file, policy("deny"));
  const mount = await mountWith(file);
  const actor = await Actor.start();
  symlinkSync(secret, join(home, "next"));
  renameSync(join(home, "next"), file);
  expect(await outcome(mount, actor)).toBe("deny");
  await expect.poll(() => mount.log()).toContain("policy cannot be read (EACCES)");
  expect(mount.log()).not.toContain("token");
  expect((await mount.stop()).code).toBe(0);
});

test("a policy that becomes a link into the mount itself does not stop the mount", async () => {
  const root = privateDirectory();
  const file = join(root, "policy.yaml");
  writeFileSync(file, policy("deny"));
  const mount = await mountWith(file);
  const actor = await Actor.start();
  symlinkSync(mount.path("file"), join(root, "next"));
  renameSync(join(root, "next"), file);
  expect([await outcome(mount, actor), await outcome(mount, actor)]).toEqual(["deny", "deny"]);
  expect((await mount.stop()).code).toBe(0);
});

test("sees a replaced file that has the size and times of the old one", async () => {
  const file = join(privateDirectory(), "policy.yaml");
  const place = (effect: string, name: string): void => {
    writeFileSync(name, policy(effect).replace("deny ", "deny  "));
    utimesSync(name, 1, 1);
  };
  place("deny", file);
  const swap = (): void => {
    place("grant", `${file}.new`);
    renameSync(`${file}.new`, file);
  };
  expect(await afterEach(await mountWith(file), [swap])).toEqual(twice("deny", "grant"));
});
