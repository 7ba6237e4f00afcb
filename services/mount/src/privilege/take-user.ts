/**
 * A server for an ordinary user becomes that user, with the user's groups and without any capability, before it opens anything or reads a
 * request. So the kernel decides about each access to a layer as it would for the user's own programs.
 */
import { check, native } from "@sluice/native";
import { failed } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";
import { replaceProcess } from "./least-privilege.js";

type Wanted = Pick<MountConfig, "user" | "mountpoint">;

/** In ascending order, each once. A process may list its own group among the supplementary ones. */
function sorted(groups: readonly number[], gid: number): string {
  return [...new Set([...groups, gid])].sort((a, b) => a - b).join();
}

function isUser(uid: number, gid: number, groups: readonly number[]): boolean {
  const { getuid, geteuid, getgid, getegid, getgroups } = process;
  const ids = [getuid?.(), geteuid?.()].every((id) => id === uid) && [getgid?.(), getegid?.()].every((id) => id === gid);
  return ids && sorted(getgroups?.() ?? [], gid) === sorted(groups, gid) && native.effectiveCapabilities() === 0n;
}

/**
 * Returns in a process of which every thread has the rights of the user: the program starts again once it has them, so that no thread and
 * no ring keeps others. Descriptors below `descriptors` stay open. @throws CliError
 */
export function takeUser({ user, mountpoint }: Wanted, groups: readonly number[], descriptors: number): void {
  if (user === undefined || user.uid === 0) throw failed(mountpoint, "a server for a user has no user", "this is a bug: report it");
  const { uid, gid } = user;
  if (process.geteuid?.() === 0) {
    native.setNoNewPrivileges();
    check(native.becomeUser(uid, gid, groups), "become the user of the mount");
    replaceProcess(process.argv.slice(1), descriptors);
  }
  if (!isUser(uid, gid, groups)) throw failed(mountpoint, "the server cannot become the user of the mount (EPERM)", "see 'sluice doctor'");
}
