/**
 * Reads update access times as the flags of the mount say, whatever the flags of the mount below say, as with kernel overlayfs.
 */
import { mkdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { check, MNT, MS, native } from "@sluice/native";
import { cleanUp, mountKernelOverlay, mountSluice, mountsShareProcess, plant, requires, scratch, scriptOutput } from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "kernel overlayfs", "CAP_SYS_ADMIN");

/** Earlier than every other time, which makes relatime update it, and later than all of them. */
const STALE = 1_000_000_000;
const FRESH = 4_000_000_000;
const OBJECTS = { "stale/f": STALE, "fresh/f": FRESH, stale: STALE, fresh: FRESH } as const;

/** Reads each object and prints those whose access time changed. */
const READ = `
import { readdirSync, readFileSync, statSync } from "node:fs";
process.chdir(process.argv[1]);
const moved = process.argv.slice(2).filter((path) => {
  const before = statSync(path).atimeMs;
  if (statSync(path).isDirectory()) readdirSync(path);
  else readFileSync(path);
  return statSync(path).atimeMs !== before;
});
console.log(JSON.stringify(moved));
`;

/** Layers on a file system that itself records no access times. */
function layers(): { lowers: [string]; upper: string; work: string } {
  const base = scratch();
  check(native.mount("tmpfs", base, "tmpfs", MS.NOATIME, ""), "mount tmpfs");
  cleanUp(() => void check(native.umount2(base, MNT.UMOUNT_NOFOLLOW), "unmount tmpfs"));
  plant(base, { "lower/lower/f": "x", "upper/stale/f": "x", "upper/fresh/f": "x" });
  mkdirSync(join(base, "work"));
  for (const [path, atime] of Object.entries(OBJECTS)) utimesSync(join(base, "upper", path), atime, STALE);
  for (const path of ["lower/f", "lower"]) utimesSync(join(base, "lower", path), STALE, STALE);
  return { lowers: [join(base, "lower")], upper: join(base, "upper"), work: join(base, "work") };
}

function movedIn(mountpoint: string): Promise<string[]> {
  const paths = [...Object.keys(OBJECTS), "lower/f", "lower"];
  return scriptOutput([process.execPath, "--input-type=module", "-e", READ, mountpoint, ...paths]).then(
    (text) => JSON.parse(text) as string[],
  );
}

const FLAGS: Readonly<Record<string, number>> = {
  relatime: MS.RELATIME,
  noatime: MS.NOATIME,
  nodiratime: MS.NODIRATIME,
  strictatime: MS.STRICTATIME,
};

async function compare(word: string, flags: number): Promise<void> {
  const kernel = await movedIn(mountKernelOverlay({ ...layers(), flags }));
  expect(kernel.length).toBe({ relatime: 2, noatime: 0, nodiratime: 1, strictatime: 4 }[word]);
  for (const policy of ["grant", "mediate"]) {
    const mount = await mountSluice({ ...layers(), args: ["-o", word], sharedPolicy: `version: 1\ndefault: ${policy}\n` });
    expect([policy, ...(await movedIn(mount.mountpoint))]).toEqual([policy, ...kernel]);
    expect((await mount.stop()).code).toBe(0);
  }
}

for (const [word, flags] of Object.entries(FLAGS)) test(`${word} applies to the upper layer`, () => compare(word, flags));
