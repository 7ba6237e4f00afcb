/** Passes descriptors on to the program that this process becomes. */
import { readdirSync } from "node:fs";
import { native } from "@sluice/native";

/** Descriptors of the same number in both programs: standard input, output and error. */
export const STANDARD = 3;
/** Other threads of this program may open some before it is gone. */
const SPARE = 16;

/**
 * A number above those of all open descriptors. Until the program is replaced, its other threads use its own: one that finds another file
 * where its event queue was ends the process (libuv, uv__async_send).
 */
export function unusedNumber(): number {
  return Math.max(...readdirSync("/proc/self/fd").map(Number)) + SPARE;
}

/** Duplicates that the next program gets, with numbers from `first` on. @returns false if one cannot be had */
export function passOn(fds: readonly number[], first: number): boolean {
  return fds.every((fd, at) => fd >= 0 && native.dup2(fd, first + at) >= 0);
}
