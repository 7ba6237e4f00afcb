/** The state of a target path, by the mount table. The file system itself is asked only with a deadline, since it may hang. */
import { statfs } from "node:fs/promises";
import { type StatsFs } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { MNT, native } from "@sluice/native";
import { mountAt, readMountTable } from "@sluice/mount-control";
import { codeOf } from "@sluice/runtime/cli";

export const SLUICE_TYPE = "fuse.sluice";
const ASK_MS = 2_000;

export type Health = { kind: "serving"; space: StatsFs } | { kind: "dead" } | { kind: "silent" };

/** The type of the topmost file system at this path; undefined: nothing is mounted there. */
export function mountedType(path: string): string | undefined {
  return mountAt(path, readMountTable())?.type;
}

/** A dead server answers ENOTCONN, one whose process is stopped nothing. */
export async function healthOf(path: string): Promise<Health> {
  const ended = new AbortController();
  const late = pause(ASK_MS, { kind: "silent" } as const, { signal: ended.signal }).catch(() => ({ kind: "silent" }) as const);
  const asked = statfs(path).then(
    (space): Health => ({ kind: "serving", space }),
    (error: unknown): Health => (["ENOTCONN", "ECONNABORTED"].includes(codeOf(error)) ? { kind: "dead" } : { kind: "silent" }),
  );
  const health = await Promise.race([asked, late]);
  ended.abort();
  return health;
}

/** Takes away every mount at this path. @returns 0, or the negative errno */
export function detachAll(path: string): number {
  while (mountedType(path) !== undefined) {
    const status = native.umount2(Buffer.from(path).toString("latin1"), MNT.DETACH | MNT.UMOUNT_NOFOLLOW);
    if (status < 0) return status;
  }
  return 0;
}
