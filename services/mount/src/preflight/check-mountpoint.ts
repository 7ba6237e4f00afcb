/**
 * Checks that the mount point is an empty directory on which the daemon does not depend. It may lie inside a layer: the daemon opens layers
 * through private clones, made before the mount and without it, so it cannot walk into its own mount.
 */
import { readdirSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { MNT, native, toBytes } from "@sluice/native";
import { codeOf, shellWord, unfit, wrong } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";
import { alreadyMounted, isBeneath, mountAt, type MountRow, readMountTable, realMountpoint } from "@sluice/mount-control";
import type { LayerPlaces } from "./check-layers.js";
import type { Tell } from "./tell.js";

/** Removes a Sluice mount whose server and keeper have died, which nobody can use. @returns true if it is gone */
function clearStale(mountpoint: string, table: readonly MountRow[], tell: Tell): boolean {
  const path = realMountpoint(mountpoint);
  if (mountAt(path, table)?.type !== "fuse.sluice" || native.umount2(toBytes(path), MNT.DETACH) < 0) return false;
  tell(mountpoint, "cleared away a stale mount whose server had died");
  return true;
}

/** The mount point without symbolic links. Removes a stale Sluice mount there. @throws CliError */
export function resolveMountpoint(mountpoint: string, table: readonly MountRow[], tell: Tell): string {
  try {
    const directory = statSync(mountpoint).isDirectory();
    if (!directory) throw unfit(mountpoint, "the mount point is not a directory (ENOTDIR)", "name an empty directory");
    const real = realpathSync.native(mountpoint);
    if (mountAt(real, table)?.type === "fuse.sluice") {
      throw alreadyMounted(mountpoint);
    }
    return real;
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error)) throw error;
    const code = codeOf(error);
    if (code === "ENOTCONN") {
      if (clearStale(mountpoint, table, tell)) return resolveMountpoint(mountpoint, readMountTable(), tell);
      throw unfit(mountpoint, "it is a stale mount whose server has died (ENOTCONN)", `run 'umount -l ${shellWord(mountpoint)}'`);
    }
    if (code === "ENOENT") throw unfit(mountpoint, "there is no such mount point (ENOENT)", `create it: mkdir -p ${shellWord(mountpoint)}`);
    throw unfit(mountpoint, `the mount point cannot be reached (${code})`, "name an empty directory");
  }
}

function problemOf(mountpoint: string): string | undefined {
  try {
    return readdirSync(mountpoint).length > 0 ? "the mount point is not empty (ENOTEMPTY)" : undefined;
  } catch (error) {
    return `the mount point cannot be read (${codeOf(error)})`;
  }
}

/** @throws CliError, which names a mount that came to the place after the checks before */
export function checkEmpty(mountpoint: string): void {
  const problem = problemOf(mountpoint);
  if (problem === undefined) return;
  if (mountAt(mountpoint, readMountTable())?.type === "fuse.sluice") throw alreadyMounted(mountpoint);
  throw unfit(mountpoint, problem, "choose an empty directory, or add -o nonempty to hide the files that lie in it");
}

/** The nearest existing directory above `path`, without symbolic links. */
function realParent(path: string): string {
  for (let up = dirname(path); ; up = dirname(up)) {
    try {
      return realpathSync.native(up);
    } catch {
      if (up === "/") return "/";
    }
  }
}

/** The files that the server of a mount opens by their paths. */
export function filesOf(config: MountConfig): [role: string, path: string | undefined][] {
  const decision = config.decision;
  const tls = decision.kind === "remote" ? decision.tls : undefined;
  const target = decision.kind === "remote" ? /^unix:(?:\/\/)?(\/.*)$/.exec(decision.target)?.[1] : undefined;
  return [
    ["policy file", decision.kind === "embedded" ? decision.policyFile : undefined],
    ["certificate", tls?.caFile],
    ["certificate", tls?.certFile],
    ["key", tls?.keyFile],
    ["socket of the decision service", target],
    ["log file", config.logFile],
    ["control socket", config.control],
  ];
}

/** The mount must not hide files that the daemon needs: reading them would wait for the daemon itself. @throws CliError */
export function checkNothingBeneath(config: MountConfig, mountpoint: string, layers: LayerPlaces): void {
  for (const [role, path] of filesOf(config)) {
    if (path !== undefined && isBeneath(realParent(path), mountpoint)) {
      throw wrong(path, `the ${role} lies beneath the mount point ${mountpoint} (EINVAL)`, "move it elsewhere: the mount would hide it");
    }
  }
  if (isBeneath(process.cwd(), mountpoint)) {
    throw wrong(process.cwd(), "the working directory lies beneath the mount point (EBUSY)", "cd to another directory");
  }
  for (const place of [...layers.lowers, ...layers.dataLowers, layers.upper, layers.work]) {
    if (place === undefined || !isBeneath(place.real, mountpoint)) continue;
    if (layers.lowers.includes(place) && place.real === mountpoint) continue;
    throw unfit(
      place.given,
      `this layer lies beneath the mount point ${mountpoint} (EINVAL)`,
      "choose a mount point outside: it would hide the layer",
    );
  }
}
