/**
 * The client of a mount: how the mount ends without it, and its process. A process of the service that takes the mount over has no call of the
 * client yet, and looks at the process instead.
 */
import { readFileSync } from "node:fs";

export interface ClientProcess {
  pid: number;
  /** As in /proc/PID/stat: the pid may be given to another process. */
  started: string;
}

export interface MountClient {
  /** The mount ends with a call of its client. */
  attached: boolean;
  /** Nobody uses the mount any more when that call ends. */
  abandonedAtEnd: boolean;
  /** Undefined if it is in another pid namespace, or speaks gRPC. */
  process?: ClientProcess | undefined;
}

/** State and later fields. The second one is the program's name in parentheses, and may contain anything. */
function statOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)?.split(" ") ?? [];
  } catch {
    return [];
  }
}

/** @param pid as the kernel told of a peer. @returns undefined if the process cannot be seen */
export function clientProcess(pid: number | undefined): ClientProcess | undefined {
  const started = pid === undefined || pid <= 0 ? undefined : statOf(pid)[19];
  return pid === undefined || started === undefined ? undefined : { pid, started };
}

/** A process that has ended stays until its parent asks for its exit code. */
export function hasEnded({ pid, started }: ClientProcess): boolean {
  const fields = statOf(pid);
  return fields[19] !== started || fields[0] === "Z" || fields[0] === "X";
}
