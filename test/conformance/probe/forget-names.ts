/** Has the kernel forget inodes and names: of one mount after each call, or of the whole machine. Both need root. */
import { readFileSync, writeFileSync } from "node:fs";
import { check, MS, native } from "@sluice/native";

/** By their names in mountinfo. A remount preserves those of access times by itself. */
const FLAGS: Readonly<Record<string, number>> = { ro: MS.RDONLY, nosuid: MS.NOSUID, nodev: MS.NODEV, noexec: MS.NOEXEC };

function flagsOf(mountpoint: string): number {
  const mounts = readFileSync("/proc/self/mountinfo", "latin1")
    .split("\n")
    .map((line) => line.split(" "));
  const fields = mounts.findLast((each) => each[4] === mountpoint) ?? [];
  // A file system without an upper layer is read-only as a whole, whatever its mount says: it refuses to become writable.
  const isReadOnly = fields.at(-1)?.split(",").includes("ro") === true;
  const options = [...(fields[5] ?? "").split(","), ...(isReadOnly ? ["ro"] : [])];
  return options.reduce((flags, option) => flags | (FLAGS[option] ?? 0), 0);
}

/**
 * Returns a function that has the kernel forget each name of this mount that nobody uses, with its inode: a remount does that
 * (shrink_dcache_sb of fs/super.c). Unlike dropped caches it spares no name that was used a moment ago, and disturbs no other mount.
 */
export function forgetterOf(mountpoint: string): () => void {
  const flags = MS.REMOUNT | flagsOf(mountpoint);
  return () => void check(native.mount("none", mountpoint, "", flags, ""), `remount ${mountpoint}`);
}

/** Forgets the unused names and inodes of every file system, so those of the layers, too. */
export function dropCaches(): void {
  writeFileSync("/proc/sys/vm/drop_caches", "2");
}
