/** The inheritance of a decision process: descriptors, and, as its first argument, the user that it becomes. */

/**
 * Its socket, after standard input, output and error: for the records about its policies (policy-records.ts); if it only checks a policy,
 * for the files of that, unless it has our uid.
 */
export const SOCKET_FD = 3;
/** The directory that its code is below, if it has a user of its own who cannot reach that by its path. */
export const CODE_FD = SOCKET_FD + 1;
export const CHILD_DESCRIPTORS = CODE_FD + 1;

/** It keeps its uid and drops its capabilities. */
export const SHARED = "shared";
/** The same, after the capabilities are dropped. */
export const DROPPED = "dropped";
/** It gets its user by its first record, and answers for nothing before. */
export const ASSIGNED = "assigned";

export type ChildUser = { kind: "own"; uid: number; gid: number } | { kind: "shared" } | { kind: "dropped" } | { kind: "assigned" };

export function userArgument(user: { kind: "own"; uid: number; gid: number } | { kind: "shared" }): string {
  return user.kind === "own" ? `${user.uid}:${user.gid}` : SHARED;
}

/** @throws for anything that `userArgument` does not write: the process must not continue with rights that it should have lost */
export function readUser(argument: string | undefined): ChildUser {
  if (argument === SHARED || argument === DROPPED || argument === ASSIGNED) return { kind: argument };
  const [, uid, gid] = /^([1-9]\d*):(\d+)$/.exec(argument ?? "") ?? [];
  if (uid === undefined || gid === undefined) throw new Error(`the decision service's process got no user: '${argument ?? ""}'`);
  return { kind: "own", uid: Number(uid), gid: Number(gid) };
}
