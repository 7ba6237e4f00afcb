/**
 * The lock of a session: one command works on it at a time. A file of its own has it: a mount takes a lock on the directory above its upper layer for a
 * sign of another mount. The file names the process that runs a command, and the first one of the command's pid namespace. They need not outlive a
 * crash of the machine, as the record must.
 */
import { readFileSync, writeSync } from "node:fs";
import { LOCK, native, openBeneath } from "@sluice/native";
import { failed, unfit } from "@sluice/runtime/cli";
import { Errno, errnoName, O } from "@sluice/vfs";
import { isMounted } from "./is-mounted.js";
import { identify, isAlive, type ProcessId } from "./process-times.js";
import { openLock, type Place, remedyFor } from "./state-directory.js";

const LOCK_FILE = "lock";
/** A look at the lock holds it for a moment. */
const LOCK_ATTEMPTS = 20;
/** If the runner was killed, its view is served for a moment longer. */
const UNMOUNTED_ATTEMPTS = 1_000;
const PAUSE_MS = 5;

/** Signals are heard meanwhile. */
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE_MS));

/** Takes the lock by a description of its own, so that it can be released alone. @returns a descriptor, or the negative errno */
function lock(directoryFd: number, kind: number): number {
  const fd = openLock(directoryFd, LOCK_FILE);
  if (fd < 0) return fd;
  const status = native.flock(fd, kind | LOCK.NB);
  if (status >= 0) return fd;
  native.close(fd);
  return status;
}

interface Processes {
  /** The process that runs a command. */
  readonly runner: ProcessId | undefined;
  /** The first process of the pid namespace of the command's programs. */
  readonly first: ProcessId | undefined;
}

/** The processes that a lock file names. */
function processesIn(fd: number): Processes {
  const [pid, startTime, firstPid, firstStart] = readFileSync(fd, "latin1").split(" ");
  const named = (number: string | undefined, start: string | undefined): ProcessId | undefined =>
    number === undefined || start === undefined ? undefined : { pid: Number(number), startTime: start };
  return { runner: named(pid, startTime), first: named(firstPid, firstStart) };
}

/** Whether a command runs in the session of this directory, or another one works on it. */
export function isRunning(directoryFd: number): boolean {
  const fd = lock(directoryFd, LOCK.SH);
  if (fd >= 0) native.close(fd);
  return fd === -Errno.EAGAIN;
}

/** The process that ran a command in the session of this directory last. Undefined: none, or it has not begun to. */
export function runnerOf(directoryFd: number): ProcessId | undefined {
  const fd = openBeneath(directoryFd, LOCK_FILE, O.RDONLY | O.NONBLOCK, 0);
  if (fd < 0) return undefined;
  try {
    return processesIn(fd).runner;
  } finally {
    native.close(fd);
  }
}

/** Names this process and `first` in the file of a lock that this process has. @throws an error of the file system */
export function writeProcesses(lockFd: number, first: ProcessId | undefined): void {
  const named = [identify(process.pid), first].flatMap((one) => (one === undefined ? [] : [one.pid, one.startTime]));
  writeSync(lockFd, named.join(" "), 0);
}

/** A program that was killed may be in a call that still writes, by a file that passes through or in $HOME. @param fd of the lock: closed on a failure */
async function untilUnused(fd: number, place: Place, name: string): Promise<void> {
  const { first } = processesIn(fd);
  const isUsed = (): boolean => isMounted(place) || (first !== undefined && isAlive(first));
  for (let attempt = 1; isUsed(); attempt++) {
    if (attempt === UNMOUNTED_ATTEMPTS) {
      native.close(fd);
      throw unfit(name, "its changes are mounted (EBUSY)", "unmount them, or wait until the programs there have ended");
    }
    await pause();
  }
}

/**
 * Locks the session in this directory, once nothing of a command that was killed uses it. @returns a descriptor that holds the lock.
 * @throws CliError, exit code 4
 */
export async function takeLock(place: Place, name: string): Promise<number> {
  let fd = lock(place.fd, LOCK.EX);
  for (let attempt = 1; fd === -Errno.EAGAIN && attempt < LOCK_ATTEMPTS; attempt++) {
    await pause();
    fd = lock(place.fd, LOCK.EX);
  }
  if (fd === -Errno.EAGAIN) {
    const runner = runnerOf(place.fd);
    const by = runner === undefined ? "" : `: process ${runner.pid}`;
    throw unfit(name, `a command works in this session${by} (EBUSY)`, "wait until it ends");
  }
  if (fd < 0)
    throw failed(place.path, `the session cannot be locked (${errnoName(-fd)})`, remedyFor(fd, "move it to a file system with locks"));
  await untilUnused(fd, place, name);
  // The processes are those of a command that was killed. They may stay: their times of start tell them from others.
  native.ftruncate(fd, 0);
  return fd;
}
