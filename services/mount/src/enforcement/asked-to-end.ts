/** The interruption of a caller that waits for a decision. */
import { whenAskedToEnd } from "@sluice/overlay";
import { type CallContext, Cancellation, type CancelSignal } from "@sluice/vfs";

export function interrupted(): DOMException {
  return new DOMException("the caller was interrupted", "AbortError");
}

export function isInterrupted(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/**
 * The wait for a decision ends early only for a caller who shall end: on a disk's file system open(2) never fails with EINTR,
 * and programs with timers do not expect it. The decision's deadline bounds the wait of all others.
 */
export function untilAskedToEnd(call: CallContext): { signal: CancelSignal; stop(): void } {
  const ending = new Cancellation();
  const watch = whenAskedToEnd(call, () => ending.abort());
  return { signal: ending, stop: watch.stop };
}
