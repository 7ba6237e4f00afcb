/** A mount as a person names it: by its mount point, or by the name or the view of a running session. */
import { mountAt, readMountTable, realMountpoint } from "@sluice/mount-control";
import type { Place } from "./places.js";

/** Sessions are looked for last: their package takes time to load, and their views may be in namespaces of their own. */
export async function placeOf(name: string, control: string | undefined): Promise<Place> {
  const isMounted = control !== undefined || mountAt(realMountpoint(name), readMountTable()) !== undefined;
  const session = isMounted ? undefined : (await import("./places.js")).runningSession(name);
  return session ?? { name, mountpoint: name, control };
}
