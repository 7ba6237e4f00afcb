/**
 * Descriptors that are of no use any more. Closing one may wait for whoever serves its file, for ever where that is its own
 * sender: so it is done on threads of the pool, by few at a time, since what else is done there (umount) must not wait for it.
 */
import { close } from "node:fs";

/** The pool has four threads. */
const AT_A_TIME = 2;
/** Those that wait to be closed are held meanwhile. */
const CROWD = 64;

const waiting: number[] = [];
let closing = 0;

export function discard(fd: number): void {
  waiting.push(fd);
  closeNext();
}

/** More wait than is good: nobody should give us more now. */
export function discardsCrowd(): boolean {
  return waiting.length > CROWD;
}

/** Some are not closed yet. */
export function discardsPend(): boolean {
  return closing > 0;
}

function closeNext(): void {
  for (; closing < AT_A_TIME && waiting.length > 0; closing++) {
    close(waiting.shift() as number, () => {
      closing--;
      closeNext();
    });
  }
}
