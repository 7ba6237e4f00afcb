/** Chooses the log file of a daemon in the background. */
import { accessSync, constants } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { CliError, EXIT, makeDirectories } from "@sluice/runtime/cli";

function canAppend(path: string): boolean {
  try {
    makeDirectories(dirname(path));
    accessSync(dirname(path), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** A file that can be written, /dev/null as the last resort. @throws CliError if the requested file cannot be written */
export function logPlace(asked: string | undefined): string {
  if (asked !== undefined) {
    const path = resolve(asked);
    if (path === "/dev/null" || canAppend(path)) return path;
    throw new CliError({
      object: path,
      problem: "the log cannot be written there",
      remedy: "name another file with -o log=",
      exitCode: EXIT.USAGE,
    });
  }
  // A relative path of the environment counts as missing, as the XDG specification has it.
  const state = [process.env["XDG_STATE_HOME"] ?? "", join(process.env["HOME"] ?? "", ".local/state")].find(isAbsolute);
  const places = ["/var/log/sluice", ...(state === undefined ? [] : [join(state, "sluice")])];
  return places.map((place) => join(place, "overlayfs.log")).find(canAppend) ?? "/dev/null";
}
