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
const idle: (() => void)[] = [];
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

/** Resolves when all that was given so far is closed. */
export function discarded(): Promise<void> {
  return discardsPend() ? new Promise((resolve) => idle.push(resolve)) : Promise.resolve();
}

function closeNext(): void {
  for (; closing < AT_A_TIME && waiting.length > 0; closing++) {
    close(waiting.shift() as number, () => {
      closing--;
      closeNext();
      if (closing === 0) for (const resolve of idle.splice(0)) resolve();
    });
  }
}
