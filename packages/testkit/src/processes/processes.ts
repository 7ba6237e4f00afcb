// Reads /proc: is a process alive, its children, its descriptors. A pid goes with its start time, since the kernel may have
// given the number to another process meanwhile.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface ProcessIdentity {
  pid: number;
  /** Clock ticks since boot. */
  startTime: string;
  command: string;
}

function readOr(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return ""; // It ended.
  }
}

/** Undefined if there is no such process, or only its zombie. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const stat = readOr(`/proc/${pid}/stat`);
  // The name in parentheses may itself contain blanks and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, startTime] = [fields[0], fields[19]];
  if (startTime === undefined || state === "X" || (state === "Z" && !hasFurtherThreads(pid))) return undefined;
  return { pid, startTime, command: readOr(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim() };
}

/** If only the first thread of a process has ended, its `stat` tells of a zombie, and the others go on. */
const hasFurtherThreads = (pid: number): boolean => listOr(`/proc/${pid}/task`).length > 1;

export function isAlive(process: ProcessIdentity): boolean {
  return identifyProcess(process.pid)?.startTime === process.startTime;
}

/** Of all processes, by the pid of their parent. /proc/PID/task/TID/children may leave out one process while another one ends. */
function childrenByParent(): Map<number, number[]> {
  const children = new Map<number, number[]>();
  for (const name of listOr("/proc")) {
    const parent = Number(/^PPid:\t(\d+)$/m.exec(/^\d+$/.test(name) ? readOr(`/proc/${name}/status`) : "")?.[1] ?? 0);
    if (parent !== 0) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  return children;
}

/** All descendants of `pid`, parents before children. */
export function descendantsOf(pid: number, children = childrenByParent()): ProcessIdentity[] {
  return (children.get(pid) ?? []).flatMap((child) => {
    const found = identifyProcess(child);
    return found ? [found, ...descendantsOf(child, children)] : [];
  });
}

/** The pids of the processes that `pid` started, or that were left to it. */
export const childrenOf = (pid: number): number[] => childrenByParent().get(pid) ?? [];

function listOr(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** /proc's `status` of each thread of `pid` that does not end meanwhile, by thread id. */
export function threadStatuses(pid: number): Map<number, string> {
  const statuses = listOr(`/proc/${pid}/task`).map((task): [number, string] => [Number(task), readOr(`/proc/${pid}/task/${task}/status`)]);
  return new Map(statuses.filter(([, status]) => status !== ""));
}

/** The targets of all open descriptors of `pid`, as /proc names them, sorted: "/srv/a", "socket:[12]", "anon_inode:[eventpoll]". */
export function openDescriptors(pid: number): string[] {
  const targets = listOr(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return []; // Closed meanwhile.
    }
  });
  return targets.sort();
}

/** Those of a mount service without the one that it has in a burst of requests (docs/idle-polling.md). */
export function lastingDescriptors(pid: number): string[] {
  return openDescriptors(pid).filter((target) => target !== "/dev/cpu_dma_latency");
}

/** Sends SIGKILL if it is still the same process. */
export function killProcess(process: ProcessIdentity): void {
  if (isAlive(process)) globalThis.process.kill(process.pid, "SIGKILL");
}
