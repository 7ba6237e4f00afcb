/** Makes a system call of the overlay fail while a test works: no mount, and no file system that fails by itself, is needed. */
import { sys } from "../system-calls.js";

interface Fault {
  /** A system call of the port that gives a number. */
  call: string;
  errno: number;
  /** So many calls succeed before. */
  after?: number;
  /** So many calls fail: all later ones by default. */
  times?: number;
}

// The port has its calls as plain properties, readonly for everybody else.
const calls = sys as unknown as Record<string, (...args: unknown[]) => unknown>;

/** Gives the result of `work`, during which each call of `fault.call` fails, once `after` of them were made. It may be a promise. */
export function withFault<Result>({ call, errno, after = 0, times = Infinity }: Fault, work: () => Result): Result {
  const real = calls[call];
  if (real === undefined) throw new Error(`the port has no system call ${call}`);
  let made = 0;
  calls[call] = (...args) => (made++ < after || made > after + times ? real(...args) : -errno);
  return whileReplaced(work, () => void (calls[call] = real));
}

/** How often each of these system calls is made while a test works. */
export async function countCalls(names: readonly string[], work: () => unknown): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  const reals = names.map((name) => [name, calls[name] as (...args: unknown[]) => unknown] as const);
  for (const [name, real] of reals) {
    calls[name] = (...args) => {
      counts.set(name, (counts.get(name) ?? 0) + 1);
      return real(...args);
    };
  }
  await whileReplaced(work, () => reals.forEach(([name, real]) => (calls[name] = real)));
  return counts;
}

function whileReplaced<Result>(work: () => Result, mend: () => void): Result {
  let waits = false;
  try {
    const result = work();
    waits = result instanceof Promise;
    return result instanceof Promise ? (result.finally(mend) as Result) : result;
  } finally {
    if (!waits) mend();
  }
}
