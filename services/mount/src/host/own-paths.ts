/**
 * Finds paths that lead into a mount of this very process. Its one thread would ask itself and wait for ever, so each step of a path is
 * checked before the kernel takes it.
 */
import { lstatSync, readlinkSync, type Stats } from "node:fs";
import { dirname, join } from "node:path";
import { isBeneath, type MountRow } from "@sluice/mount-control";

/** include/linux/namei.h MAXSYMLINKS: the kernel follows no more. */
const MAX_LINKS = 40;

/** The places at which the mounts on `mountpoints` are, and kernel overlays over one of them. */
export function placesOf(mountpoints: readonly string[], table: readonly MountRow[]): Set<string> {
  const devices = new Set(
    table.filter(({ type, mountpoint }) => type === "fuse.sluice" && mountpoints.includes(mountpoint)).map(({ device }) => device),
  );
  const places = new Set([...mountpoints, ...table.filter(({ device }) => devices.has(device)).map(({ mountpoint }) => mountpoint)]);
  for (const { type, superOptions, mountpoint } of table)
    if (type === "overlay" && [...places].some((place) => namesBeneath(superOptions, place))) places.add(mountpoint);
  return places;
}

/** Whether a layer in the options of an overlay lies there. */
function namesBeneath(options: string, place: string): boolean {
  return options.split(/[,:]|(?:lower|upper|work)dir\+?=/).some((word) => word.startsWith("/") && isBeneath(word, place));
}

function lookAt(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    // It cannot be reached: whoever needs it reports the reason.
    return undefined;
  }
}

export interface OnWay {
  place: string;
  /** The path leads further than to the place itself. */
  beyond: boolean;
}

/** The first of `places` that an absolute path leads to, by whichever links; undefined if it leads to none. */
export function placeOnWay(path: string, places: ReadonlySet<string>): OnWay | undefined {
  const left = path.split("/");
  let at = "/";
  let links = 0;
  for (let name = left.shift(); name !== undefined; name = left.shift()) {
    if (name === "" || name === ".") continue;
    if (name === "..") {
      at = dirname(at);
      continue;
    }
    const next = join(at, name);
    if (places.has(next)) return { place: next, beyond: left.some((further) => further !== "" && further !== ".") };
    const found = lookAt(next);
    if (found === undefined) return undefined;
    if (!found.isSymbolicLink()) {
      at = next;
      continue;
    }
    if (++links > MAX_LINKS) return undefined;
    const target = readlinkSync(next);
    if (target.startsWith("/")) at = "/";
    left.unshift(...target.split("/"));
  }
  return undefined;
}
