// FUSE over io_uring is off in a kernel until root turns it on, for all later mounts. Tests that need it turn it on for as
// short as they can, and the last of them restores the setting: the kernel has one for all runs.
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { LOCK, native } from "@sluice/native";

const PARAMETER = "/sys/module/fuse/parameters/enable_uring";
/** The setting before the first who switched it, beside locks that end with their process. */
const FORMER = "/tmp/sluice-uring-former";
const HOLDERS = "/tmp/sluice-uring-holders";
const PRIVATE = 0o600;

/** Tells whether tests can use it: a kernel that knows it, the right to turn it on, and to create rings. */
export function uringCanBeHad(): boolean {
  try {
    writeFileSync(PARAMETER, readFileSync(PARAMETER, "latin1"));
  } catch {
    return false;
  }
  const fuseFd = native.fuseOpen();
  const ring = fuseFd < 0 ? fuseFd : native.fuseRing(fuseFd, 1, 4096);
  if (fuseFd >= 0) native.close(fuseFd);
  if (typeof ring === "number") return false;
  ring.close();
  return true;
}

/** One process at a time, each for a moment. */
function inTurn(act: () => void): void {
  const turn = openSync(FORMER, "a", PRIVATE);
  native.flock(turn, LOCK.EX);
  try {
    act();
  } finally {
    closeSync(turn);
  }
}

/** Turns it on. The result restores the setting if no other test, of this run or another, has turned it on meanwhile. */
function turnOn(): () => void {
  const holders = openSync(HOLDERS, "a", PRIVATE);
  const isAlone = (): boolean => native.flock(holders, LOCK.EX | LOCK.NB) === 0;
  inTurn(() => {
    if (isAlone()) writeFileSync(FORMER, readFileSync(PARAMETER, "latin1"));
    native.flock(holders, LOCK.SH);
    writeFileSync(PARAMETER, "Y");
  });
  return () => {
    inTurn(() => {
      if (isAlone()) writeFileSync(PARAMETER, readFileSync(FORMER, "latin1"));
      closeSync(holders);
    });
  };
}

/** Turns it on or off; the result restores the old setting. */
export function switchUring(on: boolean): () => void {
  if (on) return turnOn();
  const before = readFileSync(PARAMETER, "latin1");
  writeFileSync(PARAMETER, "N");
  return () => writeFileSync(PARAMETER, before);
}
