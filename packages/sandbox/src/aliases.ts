/** Every path at which a file or directory can be seen: a bind mount shows it, or a directory above it, at another one. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isBeneath, mountOf, type MountRow } from "@sluice/mount-control";

/** The rest of `path` below `directory`, which is a beginning of it. */
const below = (path: string, directory: string): string => path.slice(directory === "/" ? 0 : directory.length);

/**
 * The other paths of a real path. `within` is the part of it that a mount shows there: "" if it is the whole.
 * A path that does not exist here, or that this user cannot reach, is none.
 */
export function aliasesOf(path: string, table: readonly MountRow[]): { path: string; within: string }[] {
  const own = mountOf(path, table);
  if (own === undefined) return [];
  const inFileSystem = join(own.root, below(path, own.mountpoint));
  return table
    .filter(({ device }) => device === own.device)
    .flatMap(({ root, mountpoint }) => {
      if (isBeneath(inFileSystem, root)) return [{ path: join(mountpoint, below(inFileSystem, root)), within: "" }];
      if (isBeneath(root, inFileSystem)) return [{ path: mountpoint, within: below(root, inFileSystem) }];
      return [];
    })
    .filter((alias) => !isBeneath(alias.path, path) && existsSync(alias.path));
}
