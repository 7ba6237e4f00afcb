/**
 * The location of a directory, for comparing two: by (device, inode) of its parents, and by its path inside its own file system, since a
 * bind mount hides the parents above its root.
 */
import { realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { isBeneath, type MountRow, mountOf } from "@sluice/mount-control";

export interface LocatedDirectory {
  /** As the user gave it. */
  given: string;
  /** Without symbolic links. */
  real: string;
  key: string;
  dev: bigint;
  mount: MountRow | undefined;
  /** With `--layers-beneath`: it was opened without following a link, and no path is followed to look at it. */
  opened?: OpenedDirectory;
}

/** Open until the checks are done. */
export interface OpenedDirectory {
  /** An O_PATH descriptor. */
  fd: number;
  /** The directories above it, nearest first. */
  above: readonly { key: string; dev: bigint; path: string; isClaimed: boolean }[];
}

export type Relation = "disjoint" | "same" | "inside";

function keyOf(path: string): string {
  const stat = statSync(path, { bigint: true });
  return `${stat.dev}:${stat.ino}`;
}

/** @throws the error of node:fs if the path cannot be resolved */
export function locateDirectory(given: string, table: readonly MountRow[]): LocatedDirectory {
  const real = realpathSync.native(given);
  const stat = statSync(real, { bigint: true });
  return { given, real, key: `${stat.dev}:${stat.ino}`, dev: stat.dev, mount: mountOf(real, table) };
}

/** The path inside the directory's own file system. */
function innerPath(place: LocatedDirectory): string | undefined {
  if (place.mount === undefined) return undefined;
  const below = place.mount.mountpoint === "/" ? place.real : place.real.slice(place.mount.mountpoint.length);
  const root = place.mount.root === "/" ? "" : place.mount.root;
  return root + (below === "/" ? "" : below) || "/";
}

function* keysAbove({ real, opened }: LocatedDirectory): Generator<string> {
  if (opened !== undefined) return yield* opened.above.map(({ key }) => key);
  for (let up = dirname(real); ; up = dirname(up)) {
    yield keyOf(up);
    if (up === "/") return;
  }
}

/** The relation of `place` to `other`: "inside" means below it. */
export function relationOf(place: LocatedDirectory, other: LocatedDirectory): Relation {
  if (place.key === other.key) return "same";
  for (const key of keysAbove(place)) if (key === other.key) return "inside";
  const inner = innerPath(place);
  const outer = innerPath(other);
  if (inner === undefined || outer === undefined || place.mount?.device !== other.mount?.device) return "disjoint";
  return isBeneath(inner, outer) ? "inside" : "disjoint";
}

/**
 * The first directory inside another one of the same file system. A mount below a directory is not inside it, as in the kernel
 * (fs/overlayfs/super.c ovl_check_layer). The search looks up the parents of each directory, since there may be hundreds.
 */
export function firstNested(places: readonly LocatedDirectory[]): { inner: LocatedDirectory; outer: LocatedDirectory } | undefined {
  const byPath = new Map<string, LocatedDirectory>();
  for (const place of places) byPath.set(`${place.mount?.device} ${innerPath(place)}`, place);
  for (const inner of places) {
    for (let up = innerPath(inner) ?? "/"; up !== "/"; ) {
      up = dirname(up);
      const outer = byPath.get(`${inner.mount?.device} ${up}`);
      if (outer !== undefined) return { inner, outer };
    }
  }
  return undefined;
}
