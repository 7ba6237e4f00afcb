/** SIGKILL in the middle of creations: every object that exists afterwards is complete, and belongs to its creator. */
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { mountSluice, plant, requires, runSluice, scratch, startScript } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command setfacl");
const ROUNDS = 3;
const UID = 1234;
const GROUP = 77;
const NAMES = 400;

/** Repeatedly, by another user: new names, and names that a whiteout covers. */
const CREATOR = `
import { closeSync, linkSync, mkdirSync, openSync, rmSync, symlinkSync } from "node:fs";
process.chdir(process.argv[1]);
const { native } = await import(process.env.SLUICE_NATIVE_URL);
if (native.becomeUser(${UID}, ${UID}) < 0) throw new Error("cannot become the user");
process.umask(0o027);
console.log("creating");
for (let i = 0; ; i++) {
  try {
    const covered = "low" + (i % ${NAMES});
    rmSync(covered, { recursive: true, force: true });
    if (i % 2) mkdirSync(covered); else closeSync(openSync(covered, "w", 0o666));
    closeSync(openSync("new" + process.pid + "-" + i, "w", 0o666));
    mkdirSync("dir" + process.pid + "-" + i);
    symlinkSync("x", "link" + process.pid + "-" + i);
  } catch { break; }
}
`;

test("leaves no incomplete object, and none that belongs to the daemon", async () => {
  const root = scratch();
  const lower = plant(join(root, "lower"), Object.fromEntries(Array.from({ length: NAMES }, (_, i) => [`d/low${i}`, "lower"])));
  const [upper, mountpoint] = [join(root, "upper"), join(root, "mnt")] as [string, string];
  for (const path of [upper, mountpoint]) mkdirSync(path);
  chownSync(join(lower, "d"), 0, GROUP);
  chmodSync(join(lower, "d"), 0o2777);
  execFileSync("setfacl", ["-d", "-m", "u::rwx,g::rwx,o::---", join(lower, "d")]);
  let made = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const mount = await mountSluice({ lowers: [lower], upper, mountpoint });
    const creator = startScript(CREATOR, { args: [join(mountpoint, "d")] });
    await creator.waitFor("creating");
    await expect.poll(() => existing(upper).length, { interval: 1, timeout: 30_000 }).toBeGreaterThan(made + 50);
    await mount.kill();
    await creator.finished;
    expect(await runSluice(["unmount", mountpoint])).toMatchObject({ code: 0 });
    made = existing(upper).length;
    expect(existing(upper).filter((name) => wrong(join(upper, "d", name)) !== undefined)).toEqual([]);
  }
  const mount = await mountSluice({ lowers: [lower], upper, mountpoint });
  expect(readdirSync(join(root, "upper.work", "work"))).toEqual([]);
  const names = readdirSync(join(mountpoint, "d"));
  expect(new Set(names).size).toBe(names.length);
  await mount.stop();
});

function existing(upper: string): string[] {
  try {
    return readdirSync(join(upper, "d"));
  } catch {
    return [];
  }
}

/** Owner, group by setgid and mode by the default ACL are right from the first moment. */
function wrong(path: string): string | undefined {
  const { uid, gid, mode } = lstatSync(path);
  const kind = mode & 0o170000;
  if (kind === 0o020000) return undefined;
  const expected = { 0o100000: 0o660, 0o040000: 0o2770, 0o120000: 0o777 }[kind];
  return uid === UID && gid === GROUP && (mode & 0o7777) === expected ? undefined : `${path} ${uid}:${gid} ${mode.toString(8)}`;
}
