/** Long work for a caller (vfs/loop-turn.ts) that stops once a signal kills the caller: nobody waits for its result. */
import { type CallContext, Errno, FsError } from "@sluice/vfs";
import { whenDying } from "./caller-process.js";

/** The same steps. Throws EINTR between two of them. */
export function* unlessKilled<T>(caller: CallContext, steps: Generator<void, T>): Generator<void, T, boolean> {
  let killed = false;
  let leaving: { stop(): void } | undefined;
  try {
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done === true) return step.value;
      // Work that ends at once does not look after its caller.
      if (yield) leaving ??= whenDying(caller, () => (killed = true));
      if (killed) throw new FsError(Errno.EINTR, "the caller was killed");
    }
  } finally {
    leaving?.stop();
    // Closes what unfinished work has open.
    steps.return(undefined as T);
  }
}
