/** Linux errno values (include/uapi/asm-generic/errno*.h), as positive numbers. */
export const Errno = {
  OK: 0,
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOLCK: 37,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EREMOTE: 66,
  EPROTO: 71,
  EOVERFLOW: 75,
  EILSEQ: 84,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  ECONNRESET: 104,
  ECONNREFUSED: 111,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ESTALE: 116,
  EDQUOT: 122,
  ECANCELED: 125,
} as const;

export type Errno = number;

const names = new Map<number, string>(Object.entries(Errno).map(([name, value]) => [value, name]));

/** "ENOENT" for 2; "errno 999" for one without a name here. */
export function errnoName(errno: Errno): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/** The one error type below the engines. `errno` is what the caller of the system call sees. */
export class FsError extends Error {
  override readonly name = "FsError";
  constructor(
    readonly errno: Errno,
    message: string,
    options?: ErrorOptions,
  ) {
    super(`${message} (${errnoName(errno)})`, options);
  }
}
