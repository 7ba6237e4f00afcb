/** The state of the thread that waits for an answer, from /proc. */
import { AT, type CallContext, O } from "@sluice/vfs";
import { sys } from "./system-calls.js";

const content = Buffer.alloc(4096);
const bit = (signal: number): bigint => 1n << BigInt(signal - 1);
/** The kernel makes SIGKILL pending on each thread of a process that a signal is about to end (kernel/signal.c complete_signal). */
const KILLING = bit(9);
/** SIGHUP, SIGINT, SIGQUIT, SIGTERM: somebody wants it to end, though it has a handler that has to run first. */
const ENDING = KILLING | bit(1) | bit(2) | bit(3) | bit(15);
/** FUSE interrupts once, for any signal, and then waits for the answer: whether a later one counts has to be looked at. */
const LOOK_AGAIN_MS = 200;

/** The user namespace of the machine has these ids. */
const EVERY_ID = /^ *0 +0 +4294967295\n$/;
const SYS_ADMIN = 1n << 21n;

/** The beginning of a file in a thread's directory in /proc; undefined if the thread is gone. `tid` is not 0. */
function readOf(tid: number, file: "status" | "uid_map"): string | undefined {
  const fd = sys.openat(AT.FDCWD, `/proc/${tid}/${file}`, O.RDONLY | O.CLOEXEC, 0);
  if (fd < 0) return undefined;
  const length = sys.read(fd, content, 0, content.length);
  sys.close(fd);
  return length <= 0 ? undefined : content.toString("latin1", 0, length);
}

const statusOf = (tid: number): string | undefined => readOf(tid, "status");

/** Is the caller in the group, counting supplementary groups? No if that is unknown. */
export function isInGroup({ pid, gid: own }: CallContext, gid: number): boolean {
  if (own === gid) return true;
  const groups = pid === 0 ? undefined : /^Groups:\t([0-9 ]*)\n/m.exec(statusOf(pid) ?? "")?.[1];
  return groups?.split(" ").includes(String(gid)) === true;
}

/** Has the caller CAP_SYS_ADMIN over the machine? A caller whose process is not visible has it if it is root. */
export function isAdministrator({ pid, uid }: CallContext): boolean {
  if (pid === 0) return uid === 0;
  return (mask(statusOf(pid) ?? "", "CapEff") & SYS_ADMIN) !== 0n && EVERY_ID.test(readOf(pid, "uid_map") ?? "");
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
