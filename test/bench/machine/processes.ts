/** Reads about the daemons that serve from /proc: their pids, the memory they hold. */
import { readdirSync, readFileSync } from "node:fs";

function readOr(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return ""; // It ended.
  }
}

function pids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function parentOf(pid: number): number {
  const stat = readOr(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? 0);
}

/** Every process with `word` as one of its arguments, and their descendants; never this one. */
export function processesNaming(word: string): number[] {
  const all = pids().filter((pid) => pid !== process.pid);
  const family = new Set(all.filter((pid) => readOr(`/proc/${pid}/cmdline`).split("\0").includes(word)));
  const parents = new Map(all.map((pid) => [pid, parentOf(pid)]));
  for (let before = -1; before !== family.size; ) {
    before = family.size;
    for (const [pid, parent] of parents) if (family.has(parent)) family.add(pid);
  }
  return [...family];
}

/** Of these processes the one with `word` as one of its arguments. */
export function processWith(word: string, of: readonly number[]): number | undefined {
  return of.find((pid) => readOr(`/proc/${pid}/cmdline`).split("\0").includes(word));
}

/** Resident bytes of all of them together. */
export function residentBytes(of: readonly number[]): number {
  const kib = of.map((pid) => Number(/^VmRSS:\s+(\d+)/m.exec(readOr(`/proc/${pid}/status`))?.[1] ?? 0));
  return kib.reduce((sum, one) => sum + one, 0) * 1024;
}

/** Time on a processor so far: unlike elapsed time, it does not include the work of others. */
export interface ProcessorTime {
  /** The threads counted in `exactNs`; one that ended takes its time along. */
  threads: string;
  exactNs: number;
  /** Ended threads included, but in steps of a clock tick. */
  steppedNs: number;
}

const TICK_NS = 10_000_000;

export function processorTime(of: readonly number[]): ProcessorTime {
  const threads = of.flatMap((pid) => listOr(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}/schedstat`));
  const ticks = of.map((pid) => {
    const stat = readOr(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  });
  return {
    threads: threads.join(),
    exactNs: threads.reduce((sum, path) => sum + Number(readOr(path).split(" ")[0] ?? 0), 0),
    steppedNs: ticks.reduce((sum, one) => sum + one, 0) * TICK_NS,
  };
}

/** From one moment to a later one: exact if no thread came or went between. */
export function processorNsBetween(from: ProcessorTime, to: ProcessorTime): number {
  return from.threads === to.threads ? to.exactNs - from.exactNs : to.steppedNs - from.steppedNs;
}

function listOr(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return []; // It ended.
  }
}

export function isAlive(pid: number): boolean {
  const stat = readOr(`/proc/${pid}/stat`);
  return stat !== "" && !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
}
