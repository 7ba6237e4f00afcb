/**
 * Removes what this process made, and not what has taken its place since: the next mount at the same mount point may be
 * up before the last one has gone.
 */
import { lstatSync } from "node:fs";

function identity(path: string): string | undefined {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}:${stat.birthtimeNs}`;
}

/** To be called when `path` has just been made; returns how to remove it, by `remove`. */
export function ownPath(path: string, remove: (path: string) => void): () => void {
  const made = identity(path);
  return () => {
    if (made !== undefined && identity(path) === made) remove(path);
  };
}
