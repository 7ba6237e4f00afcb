/** Keeps an upper layer and its work directory from being mounted while a command works on them, and sees that they are not. */
import { statSync } from "node:fs";
import { LOCK, native } from "@sluice/native";
import { AT, Errno, errnoName, O } from "@sluice/vfs";
import { codeOf, unfit } from "../complaint.js";
import { toBytes } from "../path-bytes.js";
import { checkNoKernelOverlay } from "../preflight/check-work.js";
import { readMountTable } from "../preflight/mount-table.js";
import { type Place, placeOf } from "../preflight/place.js";

function placed(path: string, role: string): Place {
  try {
    if (!statSync(path).isDirectory()) throw unfit(path, `this ${role} is not a directory (ENOTDIR)`, "name a directory");
    return placeOf(path, readMountTable());
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error)) throw error;
    throw unfit(path, `${role}: it cannot be used (${codeOf(error)})`, "name a directory that is there");
  }
}

function lock(path: string, role: string): number {
  const fd = native.openat(AT.FDCWD, toBytes(path), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  const status = fd < 0 ? fd : native.flock(fd, LOCK.EX | LOCK.NB);
  if (status >= 0) return fd;
  if (fd >= 0) native.close(fd);
  if (status === -Errno.EAGAIN) throw unfit(path, `this ${role} is mounted (EBUSY)`, "unmount it first");
  throw unfit(path, `this ${role} cannot be locked (${errnoName(-status)})`, "run as root");
}

/** Returns how to let go. @throws CliError, exit code 4, where one is mounted, by Sluice or by the kernel */
export function holdUnmounted(upper: string, work: string | undefined): () => void {
  const named = [[upper, "upper layer"] as const, ...(work === undefined ? [] : [[work, "work directory"] as const])];
  checkNoKernelOverlay(
    named.map(([path, role]) => placed(path, role)),
    readMountTable(),
  );
  const held: number[] = [];
  const letGo = (): void => {
    for (const fd of held) native.close(fd);
  };
  try {
    for (const [path, role] of named) held.push(lock(path, role));
  } catch (error) {
    letGo();
    throw error;
  }
  return letGo;
}
