/**
 * System calls that a filter of seccomp, such as that of a container, may refuse. Without them a mount would begin, and then fail at the first
 * change, or its keeper or server would end with another reason. Each call here changes nothing.
 */
import { native, STAT_WORDS } from "@sluice/native";
import { lacking } from "@sluice/runtime/cli";
import { AT, Errno, RENAME } from "@sluice/vfs";

const NO_FD = -1;
const REFUSED: ReadonlySet<number> = new Set([-Errno.EPERM, -Errno.ENOSYS, -Errno.EACCES]);
const REMEDY = "allow them in the seccomp profile of the container or service";

function openPidfd(): number {
  const fd = native.pidfdOpen(process.pid);
  if (fd >= 0) native.close(fd);
  return fd;
}

/** It finds the ids of this process in force, and leaves them. */
function takeOwnIds(): number {
  if (process.geteuid?.() !== 0) return 0;
  const status = native.asCaller(0, process.getegid?.() ?? 0, 0o077);
  native.asDaemon();
  return status;
}

interface Needs {
  writable: boolean;
  keeper: boolean;
}

function callsFor({ writable, keeper }: Needs): [name: string, call: () => number][] {
  return [
    ["statx", () => native.statx(AT.FDCWD, "/", AT.SYMLINK_NOFOLLOW, new Uint32Array(STAT_WORDS))],
    ...(keeper ? [["pidfd_open", openPidfd] as [string, () => number]] : []),
    ...(writable
      ? ([
          ["renameat2", () => native.renameat2(NO_FD, "a", NO_FD, "b", RENAME.NOREPLACE)],
          ["setfsuid and setfsgid", takeOwnIds],
        ] as [string, () => number][])
      : []),
  ];
}

/** The names of refused calls. */
export function refusedCalls(needs: Needs): string[] {
  return callsFor(needs).flatMap(([name, call]) => (REFUSED.has(call()) ? [name] : []));
}

/** @throws CliError if one is refused */
export function checkCalls(needs: Needs): void {
  const refused = refusedCalls(needs);
  if (refused.length > 0) throw lacking(refused.join(", "), PROBLEM, REMEDY);
}

const PROBLEM = "these system calls are refused (EPERM)";
export const CALLS_REFUSED = { problem: PROBLEM, remedy: REMEDY };
