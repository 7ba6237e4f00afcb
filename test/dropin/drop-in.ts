// sluice-overlayfs as its users call it: with layers of its own and its output, and its server ends with the test.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { bytes, cleanUp, mountsBelow, plant, runScript, type ScriptResult, scratch, type Tree } from "@sluice/testkit";

export const PROGRAM = fileURLToPath(new URL("../../packages/overlayfs-cli/bin/sluice-overlayfs.cjs", import.meta.url));
const GONE_MS = 60_000;
const POLL_MS = 20;

export interface MountDirectories {
  directory: string;
  mountpoint: string;
  /** The layers' part of an option string, relative to `directory`. */
  layers: string;
}

/** A directory with lower layers l0, l1, …, an upper and a work directory, and a mount point. */
export function directories(...lowers: readonly Tree[]): MountDirectories {
  const directory = scratch();
  for (const name of ["u", "w", "m"]) mkdirSync(join(directory, name));
  const names = lowers.map((tree, index) => {
    mkdirSync(join(directory, `l${index}`));
    plant(join(directory, `l${index}`), tree);
    return `l${index}`;
  });
  const mountpoint = join(directory, "m");
  cleanUp(() => {
    for (const mount of mountsBelow(bytes(mountpoint))) spawnSync("umount", ["-l", mount.mountpoint]);
  });
  return { directory, mountpoint, layers: `lowerdir=${names.join(":")},upperdir=u,workdir=w` };
}

/** Runs in `directory`. Returns when no process holds its output any more. */
export function dropIn(at: MountDirectories, ...args: readonly string[]): Promise<ScriptResult> {
  return runScript([PROGRAM, ...args], { cwd: at.directory, env: { XDG_STATE_HOME: at.directory }, timeoutMs: 150_000 });
}

/** Source, type and flags from /proc/mounts. */
export function mountRow(at: MountDirectories): string[] | undefined {
  const rows = readFileSync("/proc/mounts", "latin1").split("\n");
  return rows.find((row) => row.split(" ")[1] === at.mountpoint)?.split(" ");
}

/** The servers of this mount point. */
export function servers(at: MountDirectories): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
        return (
          words.some((word) => word.endsWith("/serve-main.js")) && readFileSync(`/proc/${pid}/environ`, "latin1").includes(at.directory)
        );
      } catch {
        return false;
      }
    })
    .map(Number);
}

export async function serversGone(at: MountDirectories): Promise<boolean> {
  for (const untilMs = Date.now() + GONE_MS; servers(at).length > 0; await sleep(POLL_MS)) if (Date.now() > untilMs) return false;
  return true;
}

export function unmount(at: MountDirectories): number | null {
  return spawnSync("umount", ["-i", at.mountpoint]).status;
}
