/** A creation is judged by the group and the mode that the object gets, also if its directory decides on them. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { directory, layers, mountSluice, mountsShareProcess, requires, runScript, scriptOutput, type SluiceMount } from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command setpriv", "command setfacl", "command perl");

const USER = { uid: 1000, gid: 1000 };
const GROUP = 2000;

async function attempt(mount: SluiceMount, script: string): Promise<string> {
  const { code, stderr } = await runScript(["sh", "-c", script], { cwd: mount.mountpoint, env: { LC_ALL: "C" }, as: USER });
  return `${code} ${stderr}`;
}

test("an object in a setgid directory is judged by the group of the directory", async () => {
  const { lower, upper } = layers({
    lower: { "team/": directory({ mode: 0o2777, uid: 0, gid: GROUP }), "plain/": directory({ mode: 0o777, uid: 0, gid: GROUP }) },
  });
  const rule = (access: string): string => `when: "resource.gid == ${GROUP}", access: [${access}], effect: deny`;
  const policy = `version: 1\ndefault: grant\nrules:\n  - { name: theirs, ${rule("create, write")} }\n`;
  const mount = await mountSluice({ lowers: [lower], upper, policy });
  // O_TMPFILE | O_WRONLY
  const nameless = `perl -e 'sysopen(my $file, "DIR", 020200001, 0666) or die $!'`;
  for (const make of ["echo x > DIR/file", "mkdir DIR/sub", "mkfifo DIR/fifo", "ln -s x DIR/link", nameless]) {
    expect([make, await attempt(mount, make.replace("DIR", "team"))]).toEqual([make, expect.stringMatching(/Permission denied/)]);
    expect([make, await attempt(mount, make.replace("DIR", "plain"))]).toEqual([make, "0 "]);
  }
  expect(readdirSync(mount.path("team"))).toEqual([]);
  await mount.stop();
});

test("an object in a directory with a default ACL is judged by the mode that the ACL gives it", async () => {
  const open = directory({ mode: 0o777, ...USER });
  const { lower, upper } = layers({ lower: { "wide/": open, "narrow/": open, "plain/": open } });
  await scriptOutput(["setfacl", "-d", "-m", "u::rwx,g::rwx,o::rwx", join(lower, "wide")]);
  await scriptOutput(["setfacl", "-d", "-m", "u::rwx,g::rwx,o::r-x", join(lower, "narrow")]);
  const policy = `version: 1\ndefault: grant\nrules:\n  - { name: all, when: "resource.mode % 8 in [2, 3, 6, 7]", access: [create], effect: deny }\n`;
  const mount = await mountSluice({ lowers: [lower], upper, policy });
  for (const make of ["touch DIR/file", "mkdir DIR/sub"]) {
    const [wide, narrow, plain] = ["wide", "narrow", "plain"].map((name) => make.replace("DIR", name)) as [string, string, string];
    expect([make, await attempt(mount, `umask 077; ${wide}`)]).toEqual([make, expect.stringMatching(/Permission denied/)]);
    expect([make, await attempt(mount, `umask 0; ${narrow}`)]).toEqual([make, "0 "]);
    expect([make, await attempt(mount, `umask 0; ${plain}`)]).toEqual([make, expect.stringMatching(/Permission denied/)]);
  }
  await mount.stop();
});
