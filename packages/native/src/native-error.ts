/** The error of a system call on a slow path (start-up, mounting), which answers no caller with the errno itself. */

function nameOf(errno: number): string {
  try {
    // Node takes two milliseconds to load it, and most commands meet no such error.
    return process.getBuiltinModule("node:util").getSystemErrorName(-errno);
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
