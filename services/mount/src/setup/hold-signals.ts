/** Signals of the process while threads are started that nobody must handle them on. */
import { constants } from "node:os";
import { native } from "@sluice/native";

/** What a thread does to itself stays its own; the last two cannot be blocked. Some have a second name. */
const OWN = (["SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGABRT", "SIGSYS", "SIGKILL", "SIGSTOP"] as const).map(
  (name) => constants.signals[name],
);
const SIGNALS = [...new Set(Object.values(constants.signals))].filter((signal) => !OWN.includes(signal));

/**
 * Runs `start`, whose threads leave every signal to the others. libfuse cancels its threads at the end of a mount, in whatever system
 * call they are: in the event loop's handler of signals too, where one is just running that. No signal would be handled from then on,
 * and so no child's end: not that of the umount(8) that ended the mount.
 */
export function holdingSignals<T>(start: () => T): T {
  const held = SIGNALS.filter((signal) => native.blockSignal(signal, true) === 0);
  try {
    return start();
  } finally {
    for (const signal of held) native.blockSignal(signal, false);
  }
}
