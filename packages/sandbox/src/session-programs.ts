/** The programs that work in a session: naming those that hold files, and ending them. */
import { readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isBeneath } from "@sluice/mount-control";
import { escapeTextName, unfit } from "@sluice/runtime/cli";
import type { Session } from "@sluice/sessions";
import { childrenOf, commandProcess, procNames, procText } from "./command-process.js";

const ACCESS_MODE = 0o3;
const MAX_NAMED = 3;
const LOOK_AGAIN_MS = 50;
const GRACE_MS = 10_000;

function descendantsOf(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(descendantsOf)];
}

/** As the process sees it: the view lies at the path of the directory. */
function isOpenForWriting(pid: number, fd: string, base: string): boolean {
  try {
    if (!isBeneath(readlinkSync(`/proc/${pid}/fd/${fd}`), base)) return false;
  } catch {
    return false;
  }
  return (Number.parseInt(/^flags:\s*([0-7]+)$/m.exec(procText(pid, `fdinfo/${fd}`))?.[1] ?? "0", 8) & ACCESS_MODE) !== 0;
}

/** How a process holds files of the session; undefined if it holds none. */
function useOf(pid: number, base: string): string | undefined {
  if (procNames(pid, "fd").some((fd) => isOpenForWriting(pid, fd, base))) return "has files open for writing";
  const mapped = procText(pid, "maps")
    .split("\n")
    .some((line) => isBeneath(line.slice(line.indexOf("/")), base) && line.includes("/"));
  return mapped ? "has files mapped" : undefined;
}

const shown = (pid: number): string => `${escapeTextName(procText(pid, "comm").trim())} (process ${pid})`;

/** The process that runs the session, if it still is that one. */
function runnerOf({ runner }: Session): number | undefined {
  if (runner === undefined) return undefined;
  const started = procText(runner.pid, "stat").split(") ").at(-1)?.split(" ")[19];
  return started === runner.startTime ? runner.pid : undefined;
}

function commandOf(session: Session): number | undefined {
  const stage = runnerOf(session);
  return stage === undefined
    ? undefined
    : childrenOf(stage)
        .map(commandProcess)
        .find((pid) => pid !== undefined);
}

/** @returns the error that names the programs which keep a session from being frozen */
export function namePrograms(session: Session): Error {
  const command = commandOf(session);
  const pids = command === undefined ? [] : descendantsOf(command);
  const uses = pids.flatMap((pid) => {
    const use = useOf(pid, session.base);
    return use === undefined ? [] : [`${shown(pid)} ${use}`];
  });
  const runs = uses.length > 0 ? uses : pids.map((pid) => `${shown(pid)} runs in it`);
  const more = runs.length > MAX_NAMED ? ` and ${runs.length - MAX_NAMED} more` : "";
  const who = runs.length === 0 ? "another command works on it" : runs.slice(0, MAX_NAMED).join(", ") + more;
  return unfit(session.name, `the session is in use: ${who} (EBUSY)`, "wait until it ends, or end it with --stop");
}

/** Ends the command of a session: by SIGTERM, and later by SIGKILL of its runner. Returns when nothing works in the session. */
export async function stopPrograms(session: Session): Promise<void> {
  const began = Date.now();
  let isTold = false;
  while (session.isRunning()) {
    const runner = runnerOf(session);
    if (runner === undefined) throw namePrograms(session);
    const late = Date.now() - began > GRACE_MS;
    if (late || !isTold) process.kill(runner, late ? "SIGKILL" : "SIGTERM");
    isTold = true;
    await sleep(LOOK_AGAIN_MS);
  }
}
