/** What the decision service's process is given: descriptors, and the user that it becomes, as its first argument says it. */

/** After standard input, output and error: by which it gets the policy's files, if it has a user of its own. */
export const FILES_FD = 3;
export const LISTEN_FD = 4;
export const CHILD_DESCRIPTORS = LISTEN_FD + 1;

/** The uid that it has; its capabilities go. */
export const SHARED = "shared";
/** The same, and they are gone. */
export const DROPPED = "dropped";

export type ChildUser = { kind: "own"; uid: number; gid: number } | { kind: "shared" } | { kind: "dropped" };

export function userArgument(user: { kind: "own"; uid: number; gid: number } | { kind: "shared" }): string {
  return user.kind === "own" ? `${user.uid}:${user.gid}` : SHARED;
}

/** Throws for anything that `userArgument` does not write: the process must not go on with rights that it should have lost. */
export function readUser(argument: string | undefined): ChildUser {
  if (argument === SHARED || argument === DROPPED) return { kind: argument };
  const [, uid, gid] = /^([1-9]\d*):(\d+)$/.exec(argument ?? "") ?? [];
  if (uid === undefined || gid === undefined) throw new Error(`the decision service's process got no user: '${argument ?? ""}'`);
  return { kind: "own", uid: Number(uid), gid: Number(gid) };
}
