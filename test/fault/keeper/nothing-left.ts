/** The state in which a mount with a keeper must end, and a way to end one. */
import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync } from "node:fs";
import { join } from "node:path";
import { LOCK, MNT, native } from "@sluice/native";
import { bytes, isAlive, mountsBelow, type ProcessIdentity } from "@sluice/testkit";
import { Errno } from "@sluice/vfs";
import { expect } from "vitest";

export interface Ended {
  mountpoint: string;
  upper: string;
  work: string;
  /** All processes of the mount. */
  family: readonly ProcessIdentity[];
}

const socketsOf = (mountpoint: string): string => join("/run/sluice", createHash("sha256").update(mountpoint).digest("hex").slice(0, 16));

export async function expectNothingLeft({ mountpoint, family, upper, work }: Ended): Promise<void> {
  await expect.poll(() => family.filter(isAlive)).toEqual([]);
  expect(mountsBelow(bytes(mountpoint))).toEqual([]);
  expect(existsSync(socketsOf(mountpoint))).toBe(false);
  // A process that still has one of them open would hold its lock.
  for (const path of [upper, work]) {
    const fd = openSync(path, "r");
    expect(native.flock(fd, LOCK.EX | LOCK.NB)).toBe(0);
    closeSync(fd);
  }
}

/**
 * Acts as /sys/fs/fuse/connections/N/abort, which is not mounted everywhere: the kernel ends the connection, and the mount
 * stays.
 */
export function abort(mountpoint: string, between: () => void = () => undefined): void {
  const fd = openSync(mountpoint, "r");
  between();
  expect(native.umount2(bytes(mountpoint), MNT.FORCE)).toBe(-Errno.EBUSY);
  closeSync(fd);
}
