/**
 * Closes descriptors in the background. A close may wait for the server of the file, for ever if that is the sender of the descriptor. So
 * threads of the pool close them, few at a time, because other work there (umount) must not wait for them.
 */
import { close } from "node:fs";

/** The pool has four threads. */
const AT_A_TIME = 2;
/** Descriptors that wait to be closed stay open meanwhile. */
const CROWD = 64;

const waiting: number[] = [];
const idle: (() => void)[] = [];
let closing = 0;

export function discard(fd: number): void {
  waiting.push(fd);
  closeNext();
}

/** Too many wait: the keeper should take no more descriptors now. */
export function discardsCrowd(): boolean {
  return waiting.length > CROWD;
}

/** Some descriptors are not closed yet. */
export function discardsPend(): boolean {
  return closing > 0;
}

/** Resolves when all descriptors so far are closed. */
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
