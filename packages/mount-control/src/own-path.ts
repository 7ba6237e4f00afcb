/**
 * Removes a path that this process created, but not a later one at the same place: the next mount at the same mount point may start before
 * the last one has ended.
 */
import { identityOf } from "@sluice/native";

/** Call it right after creating `path`. @returns a function that removes it with `remove` */
export function ownPath(path: string, remove: (path: string) => void): () => void {
  const made = identityOf(path);
  return () => {
    if (made !== undefined && identityOf(path) === made) remove(path);
  };
}
