/** Processes by their numbers and start times, since a number is given to another process later. */
import { readFileSync } from "node:fs";

export interface ProcessId {
  readonly pid: number;
  /** As in /proc/PID/stat. */
  readonly startTime: string;
}

interface Stat {
  state: string | undefined;
  startTime: string | undefined;
}

/** Undefined if there is no such process. */
function statOf(pid: number): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // The second field is the program's name in parentheses, and may contain anything.
  const fields = text.split(") ").at(-1)?.split(" ") ?? [];
  return { state: fields[0], startTime: fields[19] };
}

/** Undefined if there is no such process. */
export function identify(pid: number): ProcessId | undefined {
  const startTime = statOf(pid)?.startTime;
  return startTime === undefined ? undefined : { pid, startTime };
}

/**
 * Whether the process has not come to its end. The first process of a pid namespace becomes a zombie after all others there have ended
 * (kernel/pid_namespace.c zap_pid_ns_processes).
 */
export function isAlive({ pid, startTime }: ProcessId): boolean {
  const stat = statOf(pid);
  return stat?.startTime === startTime && stat.state !== "Z" && stat.state !== "X";
}

/** Its first child; undefined if it has none. */
export function childOf(pid: number): ProcessId | undefined {
  let first: string | undefined;
  try {
    first = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").split(" ")[0];
  } catch {
    return undefined;
  }
  return first === undefined || first === "" ? undefined : identify(Number(first));
}
