/** Finds the process of the command, which is the child of bubblewrap's first process in the pid namespace, and passes signals on to it. */
import { readFileSync } from "node:fs";

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function programOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "latin1").trim();
  } catch {
    return "";
  }
}

/** @param stage the process that makes the namespaces. @returns undefined if the command has not begun, or has ended */
export function commandProcess(stage: number): number | undefined {
  const wrappers = childrenOf(stage)
    .flatMap(childrenOf)
    .filter((pid) => programOf(pid) === "bwrap");
  return wrappers.flatMap(childrenOf).flatMap(childrenOf)[0];
}

/** Whether this process is in the foreground of its terminal: a key sends its signals to our process group. */
export function ownsTerminal(): boolean {
  const fields = readFileSync("/proc/self/stat", "latin1").split(") ").at(-1)?.split(" ") ?? [];
  const [group, foreground] = [fields[2], fields[5]];
  return group !== undefined && group === foreground;
}

const FROM_TERMINAL = ["SIGINT", "SIGQUIT", "SIGHUP"] as const;
const FORWARDED = [...FROM_TERMINAL, "SIGTERM", "SIGUSR1", "SIGUSR2"] as const;

/**
 * Passes signals on to the command; a signal that comes before it begins ends the stage. `sharesTerminal`: keys of the terminal reach the
 * command by themselves. @returns a function that stops it
 */
export function forwardSignals(
  stage: { readonly pid?: number | undefined; kill(signal: NodeJS.Signals): boolean },
  sharesTerminal: boolean,
): () => void {
  const forward = (signal: NodeJS.Signals): void => {
    if ((FROM_TERMINAL as readonly string[]).includes(signal) && sharesTerminal && ownsTerminal()) return;
    const pid = stage.pid === undefined ? undefined : commandProcess(stage.pid);
    if (pid !== undefined) process.kill(pid, signal);
    else if (signal === "SIGTERM" || signal === "SIGINT" || signal === "SIGHUP") stage.kill("SIGKILL");
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  return () => {
    for (const signal of FORWARDED) process.off(signal, forward);
  };
}
