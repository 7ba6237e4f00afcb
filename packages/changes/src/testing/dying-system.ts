/** A process that is killed: from the n-th call that changes something on, no system call of it happens any more. */
import { native } from "@sluice/native";

const CHANGING = [
  "copyFileRangeAsync",
  "fchmodat",
  "fchownat",
  "ficlone",
  "fsync",
  "ftruncate",
  "linkat",
  "mkdirat",
  "mknodat",
  "openat",
  "openat2",
  "pwriteAsync",
  "removexattrat",
  "renameat2",
  "setxattrat",
  "symlinkat",
  "syncfsAsync",
  "unlinkat",
  "utimensat",
  "write",
] as const;

class Killed extends Error {}

/** Runs `work` until it makes its call number `survives + 1`. @returns whether it came to its end before */
export async function untilCall(survives: number, work: () => unknown): Promise<boolean> {
  const real = { ...native };
  const calls = native as unknown as Record<string, unknown>; // the real ones are put back below
  let left = survives;
  for (const name of CHANGING) {
    const call = real[name] as (...args: unknown[]) => unknown;
    calls[name] = (...args: unknown[]) => {
      if (left-- <= 0) throw new Killed(name);
      return call(...args);
    };
  }
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof Killed || left < 0) return false;
    throw error;
  } finally {
    Object.assign(native, real);
  }
}
