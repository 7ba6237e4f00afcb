/** Locks an upper layer and its work directory, so that no mount uses them while a command works on them. */
import { fstatSync } from "node:fs";
import { LOCK, native } from "@sluice/native";
import { Errno, errnoName, O } from "@sluice/vfs";
import { unfit } from "@sluice/runtime/cli";
import type { Tree } from "./tree.js";
import { checkNoKernelOverlay, readMountTable } from "@sluice/mount-control";

/** Locks the directory itself, by its descriptor. */
function lock({ path, fd: root }: Tree, role: string): number {
  const fd = native.openat(root, ".", O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  const status = fd < 0 ? fd : native.flock(fd, LOCK.EX | LOCK.NB);
  if (status >= 0) return fd;
  if (fd >= 0) native.close(fd);
  if (status === -Errno.EAGAIN) throw unfit(path, `this ${role} is mounted (EBUSY)`, "unmount it first");
  throw unfit(path, `this ${role} cannot be locked (${errnoName(-status)})`, "run as root");
}

function keyOf(fd: number): string {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return `${dev}:${ino}`;
}

/** @returns a function that unlocks them. @throws CliError, exit code 4, if one is mounted, by Sluice or by the kernel */
export function holdUnmounted(upper: Tree, work: Tree | undefined): () => void {
  const held: number[] = [];
  const release = (): void => {
    for (const fd of held) native.close(fd);
  };
  try {
    held.push(lock(upper, "upper layer"));
    if (work !== undefined) held.push(lock(work, "work directory"));
    const trees = [upper, ...(work === undefined ? [] : [work])];
    checkNoKernelOverlay(
      trees.map(({ path }, index) => ({ given: path, key: keyOf(held[index] as number) })),
      readMountTable(),
    );
  } catch (error) {
    release();
    throw error;
  }
  return release;
}
