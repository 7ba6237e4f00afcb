/**
 * A policy file that turns into something else: the policy before stays in force, and `sluice status` names the file, the reason and the
 * remedy until a policy is there again.
 */
import { chmodSync, chownSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { mountSluice, ORDINARY_USER, plant, requires, runScript, runSluice, scratch, type SluiceMount, statusOf } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const policyFor = (effect: string): string =>
  `version: 1\ndefault: grant\nrules:\n  - { name: the-file, path: "file", effect: ${effect} }\n`;

/** The path is free when it is called. @returns the words of `sluice status` about it */
type Replacement = readonly [what: string, replace: (path: string) => void, said: string];

const REPLACEMENTS: readonly Replacement[] = [
  [
    "a fifo",
    (path) => void spawnSync("mkfifo", [path]),
    ": it is no regular file, but a pipe, a socket or a device (EINVAL): put a regular file in its place",
  ],
  ["a directory", (path) => mkdirSync(path), ": it is a directory (EISDIR): put the file in its place, or name the file in it"],
  [
    "a file that its owner cannot read",
    (path) => {
      writeFileSync(path, policyFor("grant"));
      chownSync(path, ORDINARY_USER.uid, ORDINARY_USER.gid);
      chmodSync(path, 0);
    },
    ": policy cannot be read (EACCES): make it readable to the user who controls it (docs/policy-backends.md)",
  ],
  ["an empty file", (path) => writeFileSync(path, ""), ":1:1: the policy is empty: write version: 1 and default: grant, mediate or deny"],
  [
    "a huge file",
    (path) => {
      writeFileSync(path, "");
      truncateSync(path, 2 ** 40);
    },
    ": it is larger than 4194304 bytes: make it smaller, or split it",
  ],
  ["nothing", () => undefined, ": the file does not exist (ENOENT): correct the name"],
];

async function readsOf(mount: SluiceMount): Promise<string> {
  const { code, stdout, stderr } = await runScript(["cat", mount.path("file")]);
  return code === 0 ? stdout : (/Permission denied/.exec(stderr)?.[0] ?? stderr);
}

const refusedEdit = async (mount: SluiceMount): Promise<string | null> => (await statusOf(mount)).policy?.refusedEdit ?? null;

for (const [what, replace, said] of REPLACEMENTS) {
  test(`a policy file that turns into ${what} is named with the remedy, and the policy before stays in force`, async () => {
    const directory = join(scratch(), "policies");
    mkdirSync(directory, { mode: 0o755 });
    const file = join(directory, "policy.yaml");
    writeFileSync(file, policyFor("deny"));
    const mount = await mountSluice({ lowers: [plant(scratch(), { file: "content" })], args: ["--policy", file] });
    expect(await readsOf(mount)).toBe("Permission denied");
    rmSync(file);
    replace(file);
    expect(await readsOf(mount)).toBe("Permission denied");
    await expect.poll(() => refusedEdit(mount)).toBe(`${file}${said}`);
    // A person who looks is told the same as a program.
    const { code, stdout, stderr } = await runSluice(["status", mount.mountpoint]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(`${file}${said}`);
    rmSync(file, { force: true, recursive: true });
    writeFileSync(`${file}.new`, policyFor("grant"));
    renameSync(`${file}.new`, file);
    expect(await readsOf(mount)).toBe("content");
    expect(await refusedEdit(mount)).toBeNull();
  });
}
