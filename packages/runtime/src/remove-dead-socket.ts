/** Makes room for a socket. */
import { lstatSync, rmSync } from "node:fs";
import { CliError, EXIT } from "./cli-error.js";

/**
 * Removes the socket that a killed process left at `path`. Any other object stays: somebody may have named it by mistake. `option` is that of
 * the socket. @throws CliError
 */
export function removeDeadSocket(path: string, option: string): void {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there?.isSocket() === false) {
    throw new CliError({
      object: path,
      problem: "there is something else than a socket",
      errno: "EEXIST",
      remedy: `move it away, or choose another ${option}`,
      exitCode: EXIT.USAGE,
    });
  }
  rmSync(path, { force: true });
}
