/** A FUSE server as a process: started, waited for until its mount is there, and ended with all its children. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { BenchError } from "../bench-error.js";
import { isMountpoint, unmountBelow } from "../machine/mount-table.js";
import { isAlive, processesNaming } from "../machine/processes.js";

const READY_MS = 30_000;
const STOP_MS = 15_000;
const POLL_MS = 10;
const SHOWN_CHARACTERS = 600;

export interface DaemonCommand {
  name: string;
  file: string;
  args: readonly string[];
  mountpoint: string;
  log: string;
  /** A text that its output must hold, besides the mount being there. */
  readyText?: string;
  environment?: Readonly<Record<string, string>>;
}

function failed(child: ChildProcess): boolean {
  return child.pid === undefined || child.signalCode !== null || (child.exitCode !== null && child.exitCode !== 0);
}

function serves(command: DaemonCommand): boolean {
  const said = command.readyText === undefined || readFileSync(command.log, "utf8").includes(command.readyText);
  return said && isMountpoint(command.mountpoint);
}

/** @throws BenchError with the end of its output */
export async function startDaemon(command: DaemonCommand): Promise<void> {
  const log = openSync(command.log, "w");
  // A file of certificates that Node reads at each start, where a machine names one: nothing that is measured asks anybody outside.
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: undefined, ...command.environment };
  const child = spawn(command.file, command.args, { stdio: ["ignore", log, log], detached: true, cwd: "/", env });
  child.on("error", () => {});
  child.unref();
  closeSync(log);
  for (let waitedMs = 0; !serves(command); waitedMs += POLL_MS) {
    if (failed(child) || waitedMs > READY_MS) {
      await stopDaemon(command.mountpoint);
      const said = readFileSync(command.log, "utf8").trim().slice(-SHOWN_CHARACTERS);
      throw new BenchError(1, `${command.name}: did not mount${said ? `: ${said}` : ""}`);
    }
    await sleep(POLL_MS);
  }
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It ended meanwhile.
    }
  }
}

async function waitFor(done: () => boolean): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < STOP_MS; waitedMs += POLL_MS) {
    if (done()) return true;
    await sleep(POLL_MS);
  }
  return false;
}

/** Ends whatever serves at `mountpoint`, by force if need be. @throws Error where a mount stays */
export async function stopDaemon(mountpoint: string): Promise<void> {
  const family = processesNaming(mountpoint);
  if (family.length === 0) return unmountBelow(mountpoint);
  // Parents tell their children; a decision service that went first would be an outage to its mount service.
  signalAll(family.slice(0, 1), "SIGTERM");
  await waitFor(() => !isMountpoint(mountpoint) && !family.some(isAlive));
  unmountBelow(mountpoint);
  if (!(await waitFor(() => !family.some(isAlive)))) signalAll(family.filter(isAlive), "SIGKILL");
}
