/**
 * `mount -o remount`: changes the flags of the kernel's mount. Layers and their options cannot change meanwhile. mount(8) repeats those of
 * /etc/fstab, and the command ignores them, as overlayfs does (fs/overlayfs/params.c).
 */
import { getSystemErrorName } from "node:util";
import { MS, native, toBytes } from "@sluice/native";
import { CliError, EXIT } from "@sluice/runtime/cli";
import { daemonStatus } from "@sluice/mount-control";

const SET: Readonly<Record<string, number>> = {
  ro: MS.RDONLY,
  nosuid: MS.NOSUID,
  nodev: MS.NODEV,
  noexec: MS.NOEXEC,
  sync: MS.SYNCHRONOUS,
  dirsync: MS.DIRSYNC,
  nosymfollow: MS.NOSYMFOLLOW,
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
  symfollow: MS.NOSYMFOLLOW,
  atime: MS.NOATIME,
  diratime: MS.NODIRATIME,
  norelatime: MS.RELATIME,
  nostrictatime: MS.STRICTATIME,
  nolazytime: MS.LAZYTIME,
};

/** The later of two contradicting options holds. */
export function remountFlags(words: readonly string[]): number {
  return words.reduce((flags, word) => (flags | (SET[word] ?? 0)) & ~(CLEARED[word] ?? 0), 0);
}

/**
 * @throws CliError if the kernel refuses: files that are open for writing keep a mount from becoming read-only (EBUSY). Also if a mount
 * without an upper layer should become writable (fs/overlayfs/params.c ovl_reconfigure).
 */
export async function remount(mountpoint: string, words: readonly string[]): Promise<void> {
  const flags = remountFlags(words);
  if ((flags & MS.RDONLY) === 0 && (await daemonStatus(mountpoint))?.upper === null) {
    throw new CliError({
      object: mountpoint,
      problem: "it has no upper layer to write to",
      errno: "EROFS",
      remedy: "unmount it, and mount it with upperdir= and workdir=",
      exitCode: EXIT.UNFIT,
    });
  }
  const path = toBytes(mountpoint);
  const status = native.mount("none", path, "", MS.REMOUNT | flags, "");
  if (status >= 0) return;
  throw new CliError({
    object: mountpoint,
    problem: "it cannot be remounted",
    errno: getSystemErrorName(status),
    remedy: "close what is open for writing in it, or mount it first",
    exitCode: EXIT.UNFIT,
  });
}
