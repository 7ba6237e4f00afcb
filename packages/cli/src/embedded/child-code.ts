/**
 * The program of the decision service's process, as its user reaches it. The process loads code and starts workers after it became
 * another user, who may not enter a directory above them: /root, or a home. So it gets a descriptor of the first directory below,
 * and loads its code by that.
 */
import { statSync, type Stats } from "node:fs";
import { dirname, join, relative } from "node:path";
import { native, toBytes } from "@sluice/native";
import { CliError, EXIT } from "@sluice/runtime";
import { AT, O } from "@sluice/vfs";
import { CODE_FD } from "./child-user.js";
import type { OwnUser, SharedUser } from "./decision-user.js";

export interface ChildCode {
  /** Node's arguments, the program last. */
  argv: readonly string[];
  /** For the child as CODE_FD; the caller closes it. Undefined: the child reaches the program by its path. */
  fd: number | undefined;
}

/** `read`: 4, 2 or 1 for reading, writing, and executing or entering. Access control lists are not looked at. */
function allows({ mode, uid, gid }: Stats, user: OwnUser, right: number): boolean {
  if (uid === user.uid) return (mode & (right << 6)) !== 0;
  return (mode & (gid === user.gid ? right << 3 : right)) !== 0;
}

/** The directories above a path, the nearest first. */
function directoriesAbove(path: string): string[] {
  const above: string[] = [];
  for (let at = dirname(path); ; at = dirname(at)) {
    above.push(at);
    if (at === dirname(at)) return above;
  }
}

export function childCode(program: string, user: OwnUser | SharedUser): ChildCode {
  if (user.kind === "shared") return { argv: [program], fd: undefined };
  const above = directoriesAbove(program);
  const closed = above.findIndex((directory) => !allows(statSync(directory), user, 1));
  const top = above[closed - 1];
  if (!allows(statSync(program), user, 4) || (closed >= 0 && top === undefined)) throw unreadable(program, user);
  if (top === undefined) return { argv: [program], fd: undefined };
  const fd = native.openat(AT.FDCWD, toBytes(top), O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
  if (fd < 0) throw unreadable(top, user);
  // Else Node loads modules by the paths that the links stand for.
  return { argv: ["--preserve-symlinks", "--preserve-symlinks-main", join(`/proc/self/fd/${CODE_FD}`, relative(top, program))], fd };
}

function unreadable(path: string, { uid }: OwnUser): CliError {
  return new CliError({
    object: path,
    problem: `the decision service runs as user ${uid}, who may not read it`,
    errno: "EACCES",
    remedy:
      "give everybody the right to read the program ('chmod -R o+rX' of its directory), or run 'sluice decision' yourself and give --decision",
    exitCode: EXIT.MACHINE,
  });
}
