/**
 * A server for an ordinary user becomes that user, with the user's groups and without any capability, before it opens anything or reads a
 * request. So the kernel decides about each access to a layer as it would for the user's own programs.
 */
import { check, everyThreadIsUser, native } from "@sluice/native";
import { failed } from "@sluice/runtime/cli";
import type { MountConfig, UserIds } from "../config/mount-config.js";
import { replaceProcess } from "./least-privilege.js";

type Wanted = Pick<MountConfig, "user" | "mountpoint">;

/** The user of the mount. @throws CliError if it has none */
function userOf({ user, mountpoint }: Wanted): UserIds {
  if (user === undefined || user.uid === 0) throw failed(mountpoint, "a server for a user has no user", "this is a bug: report it");
  return user;
}

/** @throws CliError unless every thread has the rights of the user and no other ones, for good */
function checkIsUser({ uid, gid }: UserIds, groups: readonly number[]): void {
  if (!everyThreadIsUser(uid, gid, groups))
    throw failed(`user ${uid}`, "the server of a mount cannot become this user (EPERM)", "see 'sluice doctor'");
}

/**
 * Returns in a process of which every thread has the rights of the user: the program starts again once it has them, so that no thread and
 * no ring keeps others. Descriptors below `descriptors` stay open. @throws CliError
 */
export function takeUser(wanted: Wanted, groups: readonly number[], descriptors: number): void {
  const user = userOf(wanted);
  if (process.geteuid?.() === 0) {
    native.setNoNewPrivileges();
    check(native.becomeUser(user.uid, user.gid, groups), "become the user of the mount");
    replaceProcess(process.argv.slice(1), descriptors);
  }
  checkIsUser(user, groups);
}

/**
 * The same for a program that goes on, since it had loaded before it knew its user. It has opened no file of a user yet, its threads could
 * get no new privileges from the start, and it has no ring (UV_USE_IO_URING): so nothing of its former rights is left. @throws CliError
 */
export function becomeUserHere(user: UserIds, groups: readonly number[]): void {
  check(native.becomeUser(user.uid, user.gid, groups), "become the user of the mount");
  checkIsUser(user, groups);
}

/** A server that became `user` has no other mount than one of that user. @throws CliError */
export function refuseOtherUser(wanted: Wanted, { uid, gid }: UserIds): void {
  const own = userOf(wanted);
  if (own.uid !== uid || own.gid !== gid) throw failed(wanted.mountpoint, "the server belongs to another user", "this is a bug: report it");
}
