/** Which programs the machine has: a phase or subject that lacks one is skipped by name. */
import { accessSync, constants } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";

function canRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Its path, or undefined. A name with a slash is a path already. */
export function findProgram(name: string): string | undefined {
  if (isAbsolute(name)) return canRun(name) ? name : undefined;
  const directories = (process.env["PATH"] ?? "").split(delimiter);
  return directories.map((directory) => join(directory, name)).find(canRun);
}
