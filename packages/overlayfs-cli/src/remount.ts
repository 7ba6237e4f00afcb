/**
 * `mount -o remount`: the flags that belong to the kernel's mount. Layers and their options do not change while it is there;
 * mount(8) repeats those of /etc/fstab, and they are passed over, as overlayfs does (fs/overlayfs/params.c).
 */
import { getSystemErrorName } from "node:util";
import { MS, native } from "@sluice/native";
import { CliError, EXIT } from "@sluice/runtime/cli";

const SET: Readonly<Record<string, number>> = {
  ro: MS.RDONLY,
  nosuid: MS.NOSUID,
  nodev: MS.NODEV,
  noexec: MS.NOEXEC,
  sync: MS.SYNCHRONOUS,
  dirsync: MS.DIRSYNC,
  noatime: MS.NOATIME,
  nodiratime: MS.NODIRATIME,
  relatime: MS.RELATIME,
  strictatime: MS.STRICTATIME,
  lazytime: MS.LAZYTIME,
};
const CLEARED: Readonly<Record<string, number>> = {
  rw: MS.RDONLY,
  suid: MS.NOSUID,
  dev: MS.NODEV,
  exec: MS.NOEXEC,
  async: MS.SYNCHRONOUS,
  atime: MS.NOATIME,
  diratime: MS.NODIRATIME,
  norelatime: MS.RELATIME,
  nostrictatime: MS.STRICTATIME,
  nolazytime: MS.LAZYTIME,
};

/** The later of two words that contradict each other holds. */
export function remountFlags(words: readonly string[]): number {
  return words.reduce((flags, word) => (flags | (SET[word] ?? 0)) & ~(CLEARED[word] ?? 0), 0);
}

/** @throws CliError where the kernel refuses: files that are open for writing keep a mount from becoming read-only (EBUSY). */
export function remount(mountpoint: string, words: readonly string[]): void {
  const path = Buffer.from(mountpoint, "utf8").toString("latin1");
  const status = native.mount("none", path, "", MS.REMOUNT | remountFlags(words), "");
  if (status >= 0) return;
  throw new CliError({
    object: mountpoint,
    problem: "it cannot be remounted",
    errno: getSystemErrorName(status),
    remedy: "close what is open for writing in it, or mount it first",
    exitCode: EXIT.UNFIT,
  });
}
