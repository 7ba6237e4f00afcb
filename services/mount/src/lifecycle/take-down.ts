/** Unmounting while others may still use the mount: ask, then detach, wait a bounded time, then end the connection. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "@sluice/runtime";
import { type Engine, Errno, errnoName } from "@sluice/vfs";
import type { StopRequests } from "./stop-requests.js";

/** How long the last users of a detached mount may take to let go. */
export const LAST_USERS_MS = 10_000;
/** The kernel ends the connection when the last reference goes; what then remains is our own clean-up. */
const ENDED_MS = 5_000;

export type TakenDown = "clean" | "detached" | "aborted";

async function within(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const stop = new AbortController();
  const late = sleep(timeoutMs, false, { signal: stop.signal }).catch(() => false);
  const done = await Promise.race([promise.then(() => true), late]);
  stop.abort();
  return done;
}

async function detach(engine: Engine, logger: Logger): Promise<void> {
  const errno = await engine.unmount(true);
  if (errno !== 0) logger.error({ errno: errnoName(errno) }, "the mount cannot be detached");
}

/** `tell` says to a person what is going on. Always ends with the connection ended. */
export async function takeDown(engine: Engine, stop: StopRequests, logger: Logger, tell: (line: string) => void): Promise<TakenDown> {
  // Somebody ran umount(8).
  if (await within(engine.ended, 0)) return "clean";
  const errno = await engine.unmount(false);
  if (errno === 0) {
    if (await within(engine.ended, ENDED_MS)) return "clean";
  } else if (errno === Errno.EBUSY) {
    tell(`the mount is in use: detached; waiting up to ${LAST_USERS_MS / 1000} s for its last users (stop again to end it at once)`);
    await detach(engine, logger);
    if (await within(Promise.race([engine.ended, stop.reached(2).then(() => engine.abort())]), LAST_USERS_MS)) {
      if (await within(engine.ended, ENDED_MS)) return "detached";
    }
    tell("the mount's last users did not let go: their files now give ENOTCONN");
  } else if (errno !== Errno.EINVAL) {
    logger.error({ errno: errnoName(errno) }, "the mount cannot be unmounted: detaching it");
    await detach(engine, logger);
  }
  engine.abort();
  if (!(await within(engine.ended, ENDED_MS))) logger.error("the connection to the kernel did not end");
  return "aborted";
}
