/**
 * Root that works on the sessions of another user becomes that user, for good and before it reads anything of theirs: they could have put
 * there what they want root to do.
 */
import { lstatSync } from "node:fs";
import { userInfo } from "node:os";
import { check, native } from "@sluice/native";
import { statePath } from "./state-directory.js";

/** As many as `becomeUser` takes. Fewer groups are fewer rights. */
const MAX_GROUPS = 32;

/** The types of Node lack this function of every POSIX platform. */
type WithInitgroups = typeof process & { initgroups(user: string, gid: number): void };

/** Undefined if the machine does not know the user. */
function accountOf(uid: number): { username: string; gid: number } | undefined {
  check(native.actAsUser(uid, 0), "act as the owner of the sessions");
  try {
    return userInfo();
  } catch {
    return undefined;
  } finally {
    check(native.actAsUser(0, 0), "become root again");
  }
}

/** Does nothing unless root calls it, and the state in use is another user's. */
export function becomeOwner(): void {
  const owner = process.geteuid?.() === 0 ? lstatSync(statePath(), { throwIfNoEntry: false }) : undefined;
  if (owner === undefined || owner.uid === 0) return;
  const account = accountOf(owner.uid);
  if (account === undefined) {
    check(native.becomeUser(owner.uid, owner.gid), "become the owner of the sessions");
    return;
  }
  (process as WithInitgroups).initgroups(account.username, account.gid);
  const groups = process.getgroups?.().slice(0, MAX_GROUPS) ?? [];
  check(native.becomeUser(owner.uid, account.gid, groups), "become the owner of the sessions");
}
