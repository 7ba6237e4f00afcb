/** A process that is killed: from the n-th call that changes something on, no system call of it happens any more. Or a single call fails. */
import { native } from "@sluice/native";
import { O } from "@sluice/vfs";

export const CHANGING = [
  "copyFileRangeAsync",
  "fchmodat",
  "fchownat",
  "ficlone",
  "fsync",
  "ftruncate",
  "linkat",
  "mkdirat",
  "mknodat",
  "moveKeepingTimes",
  "openat",
  "openat2",
  "pwriteAsync",
  "removexattrat",
  "renameat2",
  "setxattrat",
  "symlinkat",
  "syncfs",
  "syncfsAsync",
  "unlinkat",
  "utimensat",
  "write",
] as const;

/** They take the flags as their third argument. */
const OPENING: ReadonlySet<string> = new Set(["openat", "openat2"]);

class Killed extends Error {}

/** An open for reading leaves everything as it is: to die before it is to die before the next change. */
function changes(name: string, args: readonly unknown[]): boolean {
  return !OPENING.has(name) || (Number(args[2]) & (O.CREAT | O.TRUNC)) !== 0;
}

/** Has a call fail. Closing, removing and moving back need no room. */
export interface Failure {
  errno: number;
  /** The calls that may fail. */
  names: readonly string[];
  /** From the first failure on, all further ones of them fail until something is removed. */
  untilRemoval: boolean;
}

/** Runs `work`, of which the call number `survives + 1` of the names fails. @returns whether there were so many, and its error */
export async function withFailure(
  survives: number,
  { errno, names, untilRemoval }: Failure,
  work: () => unknown,
): Promise<{ failed: boolean; error: unknown }> {
  const real = { ...native };
  const calls = native as unknown as Record<string, unknown>; // as above
  let [left, failed, hasRoom] = [survives, false, false];
  calls["unlinkat"] = (...args: unknown[]) => {
    hasRoom = true;
    return (real.unlinkat as (...args: unknown[]) => unknown)(...args);
  };
  for (const name of names) {
    const call = real[name as keyof typeof real] as (...args: unknown[]) => unknown;
    calls[name] = (...args: unknown[]) => {
      const fails = changes(name, args) && (failed ? untilRemoval && !hasRoom : left-- === 0);
      if (fails && !failed) [failed, hasRoom] = [true, false];
      return !fails ? call(...args) : name.endsWith("Async") ? Promise.resolve(-errno) : -errno;
    };
  }
  let error: unknown;
  try {
    await work();
  } catch (thrown) {
    error = thrown;
  } finally {
    Object.assign(native, real);
  }
  return { failed, error };
}

/** Runs `work` until it makes its change number `survives + 1`. @returns whether it came to its end before */
export async function untilCall(survives: number, work: () => unknown): Promise<boolean> {
  const real = { ...native };
  const calls = native as unknown as Record<string, unknown>; // the real ones are put back below
  let left = survives;
  for (const name of CHANGING) {
    const call = real[name] as (...args: unknown[]) => unknown;
    calls[name] = (...args: unknown[]) => {
      if (left >= 0 && changes(name, args)) left--;
      if (left < 0) throw new Killed(name);
      return call(...args);
    };
  }
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Killed) && left >= 0) throw error;
  } finally {
    Object.assign(native, real);
  }
  return left >= 0;
}
