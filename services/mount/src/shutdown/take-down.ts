/** Unmounts: at once if nobody uses the mount; otherwise after a grace period, or by force. Then it names the users that it cut off. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "@sluice/runtime";
import { type Engine, Errno, errnoName } from "@sluice/vfs";
import type { StopRequests } from "./stop-requests.js";
import { usersInWords } from "./mount-users.js";

/** The kernel ends the connection with its last reference; after that only our own clean-up remains. */
const ENDED_MS = 5_000;
/** The same if no file is open: nothing has to be written back, and only a copy in another mount namespace holds the connection for long. */
const ENDED_UNUSED_MS = 500;
const RETRY_MS = 100;
/** How long umount(2) may take after the end of the connection. */
const RETURNED_MS = 20_000;
/** The first signal asks, the second hurries. */
const HURRY = 2;

/** "cut off": the users had their grace period. "forced": a second request ended it early. */
export type TakenDown = "clean" | "forced" | "cut off";

export interface TakeDownParts {
  engine: Engine;
  stop: StopRequests;
  logger: Logger;
  graceMs: number;
  /** How many files are open, as the kernel told. One whose last process is ending counts until its pages are written. */
  openFiles(): number;
  /** The users of the mount now. */
  users(): Promise<string[]>;
  /** Why some users may be invisible from here; undefined: none are. */
  unseen(): string | undefined;
  /** Writes a line for a person. */
  tell(line: string): void;
}

type UnmountParts = Pick<TakeDownParts, "engine" | "openFiles" | "users">;

async function within(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const stop = new AbortController();
  const late = sleep(timeoutMs, false, { signal: stop.signal }).catch(() => false);
  const done = await Promise.race([promise.then(() => true), late]);
  stop.abort();
  return done;
}

const unmounting = new WeakMap<Engine, Promise<number>>();

function callUnmount(engine: Engine): Promise<number> {
  const call = engine.unmount(false);
  unmounting.set(engine, call);
  return call;
}

/**
 * The connection ends while umount(2) is under way, and the kernel holds backing files until it returns. Whoever asked for the unmount gets
 * their answer after that, and then the listeners close.
 */
export async function untilReturned(engine: Engine): Promise<void> {
  const call = unmounting.get(engine);
  if (call !== undefined) await within(call, RETURNED_MS);
}

/** The mount is gone from its mount point. */
async function untilEnded({ engine, openFiles, users }: UnmountParts): Promise<boolean> {
  if (await within(engine.ended, ENDED_UNUSED_MS)) return true;
  // A process that is ending shows no open file any more. One that shows it uses a copy of the mount, and may do so for long.
  if (openFiles() === 0 || (await users()).length > 0) return false;
  return within(engine.ended, ENDED_MS);
}

/**
 * Unmounts if nobody uses the mount. @returns 0 if the connection has ended; otherwise the positive errno, and the mount stays as it was.
 * EBUSY also means that the mount is gone from its mount point, but a copy remains elsewhere.
 */
export async function tryUnmount(parts: UnmountParts): Promise<number> {
  const { engine } = parts;
  if (await within(engine.ended, 0)) {
    await untilReturned(engine);
    return 0;
  }
  const errno = await callUnmount(engine);
  if (errno === 0 && (await untilEnded(parts))) return 0;
  // Another unmount, or somebody's umount(8), may have come first.
  if (errno === Errno.EINVAL && (await within(engine.ended, RETRY_MS))) return 0;
  return errno === 0 || errno === Errno.EINVAL ? Errno.EBUSY : errno;
}

async function untilUnused(parts: TakeDownParts): Promise<boolean> {
  const { engine, stop, graceMs } = parts;
  const hurry = stop.reached(HURRY);
  for (const untilMs = Date.now() + graceMs; !stop.hurried; ) {
    const leftMs = untilMs - Date.now();
    if (leftMs <= 0) return false;
    await within(Promise.race([engine.ended, hurry]), Math.min(RETRY_MS, leftMs));
    if ((await tryUnmount(parts)) === 0) return true;
  }
  return false;
}

/**
 * The mount is gone from its mount point, and only a copy in another mount namespace is left (`unshare --mount` makes one). The connection
 * would live as long as that namespace.
 */
export async function isForgottenCopy(parts: UnmountParts & Pick<TakeDownParts, "unseen">): Promise<boolean> {
  const { engine, openFiles, users, unseen } = parts;
  if (openFiles() > 0 || unseen() !== undefined) return false;
  return (await callUnmount(engine)) === Errno.EINVAL && (await users()).length === 0 && openFiles() === 0;
}

async function cutConnection({ engine, logger }: TakeDownParts): Promise<void> {
  // In this order: without sysfs, only a mount that is still at its mount point can be aborted.
  engine.abort();
  const detached = await engine.unmount(true);
  if (detached !== 0 && detached !== Errno.EINVAL) logger.error({ errno: errnoName(detached) }, "the mount cannot be detached");
  if (!(await within(engine.ended, ENDED_MS))) logger.error("the connection to the kernel did not end");
}

/** Always ends with the connection ended. */
export async function takeDown(parts: TakeDownParts): Promise<TakenDown> {
  const { stop, logger, graceMs, tell } = parts;
  if (stop.abandoned) {
    await cutConnection(parts);
    return "clean";
  }
  const errno = await tryUnmount(parts);
  if (errno === 0) return "clean";
  if (errno !== Errno.EBUSY) logger.error({ errno: errnoName(errno) }, "the mount cannot be unmounted");
  if (await isForgottenCopy(parts)) {
    await cutConnection(parts);
    return "clean";
  }
  if (!stop.hurried) {
    const users = usersInWords(await parts.users());
    tell(`the mount is in use by ${users}: waiting up to ${graceMs / 1000} s for them (stop again to cut them off)`);
  }
  if (await untilUnused(parts)) return "clean";
  const cutOff = await parts.users();
  tell(`cut off: ${usersInWords(cutOff)}: they get ENOTCONN`);
  logger.warn({ cutOff }, "the mount's users are cut off");
  await cutConnection(parts);
  return stop.hurried ? "forced" : "cut off";
}
