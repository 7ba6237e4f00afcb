/** Blocks signals while an engine starts threads that must not handle them. */
import { constants } from "node:os";
import { native } from "@sluice/native";

/** A thread causes these itself, or nobody can block them (the last two). Some signals have a second name. */
const OWN = (["SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGABRT", "SIGSYS", "SIGKILL", "SIGSTOP"] as const).map(
  (name) => constants.signals[name],
);
const SIGNALS = [...new Set(Object.values(constants.signals))].filter((signal) => !OWN.includes(signal));

/**
 * Runs `start`; the threads that it starts leave every signal to the others. At the end of a mount libfuse cancels its threads in any
 * system call, also inside the event loop's signal handler. After that the process would handle no signal any more, not even the exit of
 * the umount(8) that ended the mount.
 */
export function holdingSignals<T>(start: () => T): T {
  const held = SIGNALS.filter((signal) => native.blockSignal(signal, true) === 0);
  try {
    return start();
  } finally {
    for (const signal of held) native.blockSignal(signal, false);
  }
}
