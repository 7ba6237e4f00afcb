/** The state of the thread that waits for an answer, from /proc. */
import { AT, type CallContext, O } from "@sluice/vfs";
import { sys } from "./system-calls.js";

const status = Buffer.alloc(4096);
const bit = (signal: number): bigint => 1n << BigInt(signal - 1);
/** The kernel makes SIGKILL pending on each thread of a process that a signal is about to end (kernel/signal.c complete_signal). */
const KILLING = bit(9);
/** SIGHUP, SIGINT, SIGQUIT, SIGTERM: somebody wants it to end, though it has a handler that has to run first. */
const ENDING = KILLING | bit(1) | bit(2) | bit(3) | bit(15);
/** FUSE interrupts once, for any signal, and then waits for the answer: whether a later one counts has to be looked at. */
const LOOK_AGAIN_MS = 200;

/** The beginning of a thread's /proc/TID/status; undefined if it is gone. `tid` is not 0. */
function statusOf(tid: number): string | undefined {
  const fd = sys.openat(AT.FDCWD, `/proc/${tid}/status`, O.RDONLY | O.CLOEXEC, 0);
  if (fd < 0) return undefined;
  const length = sys.read(fd, status, 0, status.length);
  sys.close(fd);
  return length <= 0 ? undefined : status.toString("latin1", 0, length);
}

/** Is the caller in the group, counting supplementary groups? No if that is unknown. */
export function isInGroup({ pid, gid: own }: CallContext, gid: number): boolean {
  if (own === gid) return true;
  const groups = pid === 0 ? undefined : /^Groups:\t([0-9 ]*)\n/m.exec(statusOf(pid) ?? "")?.[1];
  return groups?.split(" ").includes(String(gid)) === true;
}

/** Whether one of `signals` waits for the thread, or the thread is gone. `tid` is not 0. */
function isMet(tid: number, signals: bigint): boolean {
  const text = statusOf(tid);
  if (text === undefined) return true;
  const pending = mask(text, "SigPnd") | mask(text, "ShdPnd");
  return (pending & ~mask(text, "SigBlk") & signals) !== 0n;
}

function mask(text: string, name: string): bigint {
  return BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, "m").exec(text)?.[1] ?? "0"}`);
}

/** Calls `act` once, when the caller was interrupted by a signal that will kill it. */
export function whenDying(call: CallContext, act: () => void): { stop(): void } {
  return whenMet(call, KILLING, act);
}

/** Calls `act` once, when the caller was interrupted by a signal that asks a program to end. */
export function whenAskedToEnd(call: CallContext, act: () => void): { stop(): void } {
  return whenMet(call, ENDING, act);
}

function whenMet({ signal, pid }: CallContext, signals: bigint, act: () => void): { stop(): void } {
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    if (pid !== 0 && !isMet(pid, signals)) {
      timer = setTimeout(look, LOOK_AGAIN_MS);
      return;
    }
    stop();
    act();
  };
  const stop = (): void => {
    clearTimeout(timer);
    signal.removeEventListener("abort", look);
  };
  signal.addEventListener("abort", look, { once: true });
  if (signal.aborted) look();
  return { stop };
}
