/** Makes a system call of the overlay fail while a test works: no mount, and no file system that fails by itself, is needed. */
import { sys } from "../system-calls.js";

interface Fault {
  /** A system call of the port that gives a number. */
  call: string;
  errno: number;
  /** So many calls succeed before. */
  after?: number;
}

/** Gives the result of `work`, during which each call of `fault.call` fails, once `after` of them were made. It may be a promise. */
export function withFault<Result>({ call, errno, after = 0 }: Fault, work: () => Result): Result {
  // The port has its calls as plain properties, readonly for everybody else.
  const calls = sys as unknown as Record<string, (...args: unknown[]) => unknown>;
  const real = calls[call];
  if (real === undefined) throw new Error(`the port has no system call ${call}`);
  let made = 0;
  calls[call] = (...args) => (made++ < after ? real(...args) : -errno);
  const mend = (): void => void (calls[call] = real);
  let waits = false;
  try {
    const result = work();
    waits = result instanceof Promise;
    return result instanceof Promise ? (result.finally(mend) as Result) : result;
  } finally {
    if (!waits) mend();
  }
}
