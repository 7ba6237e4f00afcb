/** The end of a terminal: it was hung up, such as by the end of a connection. */
import { closeSync, openSync } from "node:fs";
import { constants } from "node:os";
import { native, TERMIOS_BYTES } from "@sluice/native";

const STANDARD_FILES = [0, 1, 2];

export const isHungUp = (fd: number): boolean => native.terminalMode(fd, new Uint8Array(TERMIOS_BYTES)) === -constants.errno.EIO;

/**
 * Nobody can be asked or told at a terminal that was hung up, and Node aborts at its end if a standard file is one: /dev/null takes its place.
 * @returns whether a standard file was one
 */
export function forgetHungUp(): boolean {
  const lost = STANDARD_FILES.filter(isHungUp);
  if (lost.length === 0) return false;
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  const nowhere = openSync("/dev/null", "r+");
  for (const fd of lost) native.dup2(nowhere, fd);
  closeSync(nowhere);
  return true;
}
