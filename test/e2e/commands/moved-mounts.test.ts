/**
 * Mount points that change under a mount: another mount begins there at the same moment, covers it, or the directory above gets another
 * name. Nothing is left behind, and the other mount stays.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { cleanUp, eventually, file, mountsBelow, mountSluice, plant, requires, runScript, runSluice, scratch } from "@sluice/testkit";
import { expect } from "vitest";
import { checkEmpty } from "../../../services/mount/src/preflight/check-mountpoint.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command mount", "command umount");
const AT_ONCE = 3;
const PATIENCE_MS = 30_000;

const lower = (): string => plant(scratch(), { word: file("x") });

function placeBelow(root: string): string {
  const mountpoint = join(root, "above/view");
  mkdirSync(mountpoint, { recursive: true });
  return mountpoint;
}

const KEEPERS = [
  ["--keeper", "off"],
  ["--keeper", "on"],
];

for (const args of [...KEEPERS, ["--engine", "fuse-native"]]) {
  const needed = requires("/dev/fuse", "CAP_SYS_ADMIN", ...(args.includes("fuse-native") ? (["fuse-native"] as const) : []));
  needed.test(
    `of mounts with ${args.join(" ")} that begin on one mount point at once, one serves, and the others leave it alone`,
    async () => {
      const mountpoint = scratch();
      const mounts = Array.from({ length: AT_ONCE }, () => mountSluice({ lowers: [lower()], mountpoint, args }));
      const outcomes = await Promise.allSettled(mounts);
      const [served, ...more] = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
      expect(more).toEqual([]);
      const refusals = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [String(outcome.reason)] : []));
      const busy = expect.stringMatching(/code 4[^]*(it is already a Sluice mount|another mount is made there at this moment) \(EBUSY\): /);
      expect(refusals).toEqual([busy, busy]);
      expect((await runSluice(["status", mountpoint])).code).toBe(0);
      expect((await runScript(["cat", join(mountpoint, "word")])).stdout).toBe("x");
      expect(await served?.stop()).toMatchObject({ code: 0 });
      expect(mountsBelow(mountpoint)).toEqual([]);
    },
  );
}

for (const args of KEEPERS)
  describe(`with ${args.join(" ")}`, () => {
    test("a mount ends in order after a directory above it was renamed", async () => {
      const root = scratch();
      const mount = await mountSluice({ lowers: [lower()], mountpoint: placeBelow(root), args });
      renameSync(join(root, "above"), join(root, "elsewhere"));
      expect(mountsBelow(root)).toHaveLength(1);
      expect(await mount.stop()).toMatchObject({ code: 0 });
      expect(mountsBelow(root)).toEqual([]);
    });

    test("a mount that another one covers waits for it, and then ends in order", async () => {
      const mount = await mountSluice({ lowers: [lower()], args: [...args, "--grace", "60s"] });
      expect((await runScript(["mount", "-t", "tmpfs", "cover", mount.mountpoint])).code).toBe(0);
      cleanUp(() => void spawnSync("umount", [mount.mountpoint]));
      const stopped = mount.stop();
      await eventually("it names the cover", PATIENCE_MS, () => mount.log().includes("in use by the mount of cover (tmpfs)"));
      expect(mountsBelow(mount.mountpoint)).toHaveLength(2);
      expect((await runScript(["umount", mount.mountpoint])).code).toBe(0);
      expect(await stopped).toMatchObject({ code: 0 });
      expect(mountsBelow(mount.mountpoint)).toEqual([]);
    });
  });

test("a mount that is covered until after its grace period says that it stays, and goes once it is uncovered", async () => {
  const mount = await mountSluice({ lowers: [lower()], args: ["--grace", "0s"] });
  expect((await runScript(["mount", "-t", "tmpfs", "cover", mount.mountpoint])).code).toBe(0);
  cleanUp(() => void spawnSync("umount", [mount.mountpoint]));
  mount.signal("SIGTERM");
  expect(await mount.exited).toMatchObject({ code: 1 });
  expect(mountsBelow(mount.mountpoint)).toHaveLength(2);
  expect(mount.log()).toContain(`it stays below another mount, dead: unmount that one, then run 'sluice unmount ${mount.mountpoint}'`);
  expect((await runScript(["umount", mount.mountpoint])).code).toBe(0);
  expect(await mount.cli("unmount")).toMatchObject({ code: 0, stdout: `cleaned up the stale mount ${mount.mountpoint}\n` });
});

test("a mount that began after the first look at a mount point is named, not the files in it", async () => {
  const mount = await mountSluice({ lowers: [lower()] });
  expect(() => checkEmpty(mount.mountpoint)).toThrow("it is already a Sluice mount (EBUSY)");
});

test("status names the mount point of a mount that is asked for by another place", async () => {
  const [root, copy] = [scratch(), scratch()];
  const mount = await mountSluice({ lowers: [lower()], mountpoint: placeBelow(root) });
  expect((await runScript(["mount", "--bind", mount.mountpoint, copy])).code).toBe(0);
  cleanUp(() => void spawnSync("umount", [copy]));
  const ofCopy = await runSluice(["status", copy]);
  expect(ofCopy).toMatchObject({
    code: 4,
    stderr: expect.stringContaining(`it is a copy of the mount on ${mount.mountpoint}: name that one`),
  });
  expect((await runScript(["umount", copy])).code).toBe(0);
  renameSync(join(root, "above"), join(root, "elsewhere"));
  const upgraded = await runSluice(["upgrade", mount.mountpoint]);
  expect(upgraded).toMatchObject({ code: 4, stderr: expect.stringContaining("no keeper holds this mount (ENOENT)") });
  const moved = await runSluice(["status", join(root, "elsewhere/view")]);
  expect(moved).toMatchObject({ code: 4, stderr: expect.stringContaining("if it was moved, name the place at which it was mounted") });
  expect((await runSluice(["status", mount.mountpoint])).code).toBe(0);
});
