/** The error of a system call on a slow path (start-up, mounting), which answers no caller with the errno itself. */
import { getSystemErrorName } from "node:util";

function nameOf(errno: number): string {
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `errno ${errno}`;
  }
}

export class NativeError extends Error {
  override readonly name = "NativeError";
  /** Positive. */
  readonly errno: number;
  /** "ENOENT". */
  readonly code: string;

  constructor(errno: number, what: string) {
    const code = nameOf(errno);
    super(`cannot ${what}: ${code}`);
    this.errno = errno;
    this.code = code;
  }
}

/**
 * The result of a call that is expected to succeed.
 * @param what completes "cannot ...": "mount /srv/merged"
 * @throws NativeError if `result` is a negative errno
 */
export function check(result: number, what: string): number {
  if (result < 0) throw new NativeError(-result, what);
  return result;
}
