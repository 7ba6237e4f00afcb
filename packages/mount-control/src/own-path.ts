/**
 * Removes a path that this process created, but not a later one at the same place: the next mount at the same mount point may start before
 * the last one has ended.
 */
import { lstatSync } from "node:fs";

function identity(path: string): string | undefined {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}:${stat.birthtimeNs}`;
}

/** Call it right after creating `path`. @returns a function that removes it with `remove` */
export function ownPath(path: string, remove: (path: string) => void): () => void {
  const made = identity(path);
  return () => {
    if (made !== undefined && identity(path) === made) remove(path);
  };
}
