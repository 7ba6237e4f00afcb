/** A rename or a link, or two in a row, never removes an obligation or a denied access from a file. */
import { readdirSync } from "node:fs";
import {
  directory,
  layers,
  mountSluice,
  mountsShareProcess,
  publicFile,
  requires,
  runScript,
  type SluiceMount,
  type Tree,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command setpriv");

const USER = { uid: 1000, gid: 1000 };
const OBLIGATIONS = ["readBytesPerSecond: 1000", "writeBytesPerSecond: 1000", "audit: each-io", "maxSizeBytes: 100", "expiresAfter: 10s"];

/** An equally strict effect without obligations. */
const PLAIN = `  - { name: plain, path: "to/**", access: [read, write], effect: mediate }`;

/** A mount with a file for the user in each of `directories`, and a directory `to` where everything is allowed. */
async function mounted(rules: string, directories: readonly string[] = ["from"]): Promise<SluiceMount> {
  const writable = directory({ mode: 0o777, ...USER });
  const files = directories.flatMap((name) => [
    [`${name}/`, writable],
    [`${name}/file`, publicFile("content", { ...USER })],
  ]);
  const { lower, upper } = layers({ lower: { "to/": writable, ...(Object.fromEntries(files) as Tree) } });
  return mountSluice({ lowers: [lower], upper, policy: `version: 1\ndefault: grant\nrules:\n${rules}\n` });
}

async function attempt(mount: SluiceMount, script: string): Promise<string> {
  const { code, stderr } = await runScript(["sh", "-c", script], { cwd: mount.mountpoint, env: { LC_ALL: "C" }, as: USER });
  return `${code} ${stderr}`;
}

test("a rename or a link does not take a file away from an obligation", async () => {
  const rules = OBLIGATIONS.map(
    (one, at) => `  - { name: obliged${at}, path: "from${at}/**", access: [read, write], effect: mediate, obligations: { ${one} } }`,
  );
  const directories = OBLIGATIONS.map((_, at) => `from${at}`);
  const mount = await mounted([...rules, PLAIN].join("\n"), directories);
  for (const from of directories) {
    expect([from, await attempt(mount, `mv ${from}/file to/file`)]).toEqual([from, expect.stringMatching(/^1 .*Permission denied/)]);
    expect([from, await attempt(mount, `ln ${from}/file to/file`)]).toEqual([from, expect.stringMatching(/^1 .*Permission denied/)]);
    expect([from, await attempt(mount, `mv ${from}/file ${from}/other && ln ${from}/other ${from}/file`)]).toEqual([from, "0 "]);
  }
  await mount.stop();
});

test("a file may move to a place with more obligations, and not back", async () => {
  const mount = await mounted(
    `  - { name: slow, path: "from/**", access: [read, write], effect: mediate, obligations: { readBytesPerSecond: 1000 } }
  - { name: slower, path: "to/**", access: [read, write], effect: mediate, obligations: { readBytesPerSecond: 500, audit: each-io } }`,
  );
  expect(await attempt(mount, "mv from/file to/file")).toBe("0 ");
  expect(await attempt(mount, "mv to/file from/file")).toMatch(/^1 .*Permission denied/);
  await mount.stop();
});

test("a move does not shed a grant's read-only obligation", async () => {
  const mount = await mounted(`  - { name: fixed, path: "from/**", effect: grant, obligations: { readOnly: true } }`);
  expect(await attempt(mount, "mv from/file to/file")).toMatch(/^1 .*(Read-only file system|Permission denied)/);
  expect(await attempt(mount, "ln from/file to/file")).toMatch(/^1 .*(Read-only file system|Permission denied)/);
  await mount.stop();
});

test("a move of a file or its directory does not shed a denied access other than open", async () => {
  const accesses = ["truncate", "delete", "metadata"];
  const rules = accesses.map((access) => `  - { name: ${access}, path: "${access}/in/**", access: [${access}], effect: deny }`);
  const mount = await mounted(
    rules.join("\n"),
    accesses.flatMap((access) => [access, `${access}/in`]),
  );
  for (const access of accesses) {
    const denied = [access, expect.stringMatching(/^1 .*Permission denied/)];
    expect([access, await attempt(mount, `mv ${access}/in/file to/file`)]).toEqual(denied);
    expect([access, await attempt(mount, `ln ${access}/in/file to/file`)]).toEqual(denied);
    expect([access, await attempt(mount, `mv ${access}/in to/in`)]).toEqual(denied);
    expect([access, await attempt(mount, `mv ${access} to/${access}`)]).toEqual(denied);
  }
  expect(readdirSync(mount.path("to"))).toEqual([]);
  await mount.stop();
});

test("a rename of a lower file is judged by the layer that the file was in, not by that of its copy", async () => {
  const mount = await mounted(`  - { name: copies, when: "resource.layer == 'upper'", access: [rename, delete], effect: deny, errno: EPERM }
  - { name: keep, access: [delete], effect: deny }`);
  expect(await attempt(mount, "mv from/file to/file")).toBe("0 ");
  expect(await attempt(mount, "mv to/file from/file")).toMatch(/^1 .*Operation not permitted/);
  await mount.stop();
});
