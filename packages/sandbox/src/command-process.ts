/** Finds the process of the command, which is the child of bubblewrap's first process in the pid namespace, and passes signals on to it. */
import { readdirSync, readFileSync } from "node:fs";
import { ENDING, type EndingSignal } from "@sluice/runtime/cli";
import type { CommandTerminal } from "./command-terminal.js";

/** A part of /proc of a process; empty if it has ended, or belongs to somebody else. */
export function procText(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "latin1");
  } catch {
    return "";
  }
}

/** Empty if it has ended, or belongs to somebody else. */
export function procNames(pid: number, directory: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/${directory}`);
  } catch {
    return [];
  }
}

/** Those of all its threads, the oldest of each first. */
export function childrenOf(pid: number): number[] {
  return procNames(pid, "task").flatMap((task) => procText(pid, `task/${task}/children`).split(" ").filter(Boolean).map(Number));
}

/** @param stage the process that makes the namespaces. @returns undefined if the command has not begun, or has ended */
export function commandProcess(stage: number): number | undefined {
  const wrappers = childrenOf(stage)
    .flatMap(childrenOf)
    .filter((pid) => procText(pid, "comm").trim() === "bwrap");
  return wrappers.flatMap(childrenOf).flatMap(childrenOf)[0];
}

const FORWARDED = ["SIGINT", "SIGQUIT", "SIGHUP", "SIGTERM", "SIGUSR1", "SIGUSR2"] as const;

const isEnding = (signal: NodeJS.Signals): signal is EndingSignal => ENDING.some((other) => other === signal);

export interface Forwarding {
  /** The signal that ended the stage, since there was no command to pass it on to. */
  readonly endedBy: EndingSignal | undefined;
  /** Stops it. */
  unhook(): void;
}

/**
 * Passes signals on to the command; a signal that comes before it begins ends the stage. `terminal`: that of the command, where keys and a
 * hang-up reach more programs than the first one.
 */
export function forwardSignals(stage: { readonly pid: number; kill(): void }, terminal: CommandTerminal | undefined): Forwarding {
  let endedBy: EndingSignal | undefined;
  const forward = (signal: (typeof FORWARDED)[number]): void => {
    const pid = commandProcess(stage.pid);
    if (pid === undefined) {
      if (!isEnding(signal)) return;
      endedBy ??= signal;
      stage.kill();
    } else if (terminal !== undefined && signal === "SIGHUP") terminal.hangUp();
    else if (terminal !== undefined && (signal === "SIGINT" || signal === "SIGQUIT")) terminal.signal(signal);
    else process.kill(pid, signal);
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  return {
    get endedBy() {
      return endedBy;
    },
    unhook: () => {
      for (const signal of FORWARDED) process.off(signal, forward);
    },
  };
}
