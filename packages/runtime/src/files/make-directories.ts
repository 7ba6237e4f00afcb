/** mkdir(1) with -p. */
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

/**
 * Node's own `recursive` never returns for a path below /proc, where mkdir(2) of a name in an existing directory is ENOENT.
 * @throws the error of mkdir(2)
 */
export function makeDirectories(path: string, mode = 0o777): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (codeOf(error) === "EEXIST" && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
    const above = dirname(path);
    if (codeOf(error) !== "ENOENT" || statSync(above, { throwIfNoEntry: false }) !== undefined) throw error;
    makeDirectories(above, mode);
    makeDirectories(path, mode);
  }
}
