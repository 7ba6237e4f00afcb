/**
 * Directories whose names are used again, as by the next mount at a mount point. Whoever gives such a name to a directory, or takes it away,
 * has the lock of the directory above for that moment. So nobody removes a directory that somebody else has made meanwhile.
 */
import { closeSync, constants, lstatSync, openSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { LOCK } from "../constants.js";
import { native } from "../native.js";
import { randomBytes } from "./random-bytes.js";

/** Tells an object from a later one with the same name; undefined if there is none. */
export function identityOf(path: string): string | undefined {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}:${stat.birthtimeNs}`;
}

/** Names in `directory` change hands by nobody else meanwhile. `act` is to be short. */
export function whileNaming<T>(directory: string, act: () => T): T {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    native.flock(fd, LOCK.EX);
    return act();
  } finally {
    closeSync(fd);
  }
}

/** As long as the hash that names the directory of a mount, so that the sweep of dead directories finds it if its process is killed. */
function nameOfItsOwn(): string {
  return randomBytes(8).toString("hex");
}

/**
 * Takes the name away from a directory, which its caller may then remove at leisure. Call it in `whileNaming`. @returns the path of the directory
 * from now on; undefined if none is there, or another one than `isIt` looks for
 */
export function moveAside(path: string, isIt: () => boolean = () => true): string | undefined {
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true || !isIt()) return undefined;
  const aside = join(dirname(path), nameOfItsOwn());
  renameSync(path, aside);
  return aside;
}

/**
 * Calls `act` while `path` names the directory of `identity`, so that nobody else gives the name away before `act` returns.
 * @returns undefined, without a call, if the name leads elsewhere by now
 */
export function whileNamed<T>(path: string, identity: string | undefined, act: () => T): T | undefined {
  return whileNaming(dirname(path), () => (identityOf(path) === identity ? act() : undefined));
}
