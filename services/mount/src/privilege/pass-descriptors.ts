/** Passes descriptors on to the program that this process becomes. */
import { readdirSync } from "node:fs";
import { native } from "@sluice/native";
import { Errno } from "@sluice/vfs";

/** Descriptors of the same number in both programs: standard input, output and error. */
export const STANDARD = 3;
/** Other threads of this program may open some before it is gone. */
const SPARE = 16;

/**
 * The first of `count` numbers that no open descriptor has. Until the program is replaced, its other threads use its own: one that finds
 * another file where its event queue was ends the process (libuv, uv__async_send). The process may have inherited a descriptor whose number
 * is just below the limit, so the numbers are not above all that are open.
 */
export function unusedNumber(count: number): number {
  const open = new Set(readdirSync("/proc/self/fd").map(Number));
  let first = 0;
  for (let spare = 0; spare < SPARE; first++) if (!open.has(first)) spare++;
  for (let free = 0; free < count; free++) {
    if (!open.has(first + free)) continue;
    first += free + 1;
    free = -1;
  }
  return first;
}

/** Duplicates that the next program gets, with numbers from `first` on. @returns 0, or the errno of the first one that cannot be had */
export function passOn(fds: readonly number[], first: number): number {
  for (const [at, fd] of fds.entries()) {
    if (fd < 0) return -fd;
    const status = native.dup2(fd, first + at);
    // Of a number beyond the limit of open files.
    if (status < 0) return status === -Errno.EBADF ? Errno.EMFILE : -status;
  }
  return 0;
}
