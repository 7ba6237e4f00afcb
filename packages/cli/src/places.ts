/** The mounts that can be asked: those of this mount namespace, and those of running sessions, which may have a namespace of their own. */
import { existsSync } from "node:fs";
import { readMountTable, realMountpoint } from "@sluice/mount-control";
import { listSessions } from "@sluice/sessions";

/** A mount that can be asked. */
export interface Place {
  /** As a person names it: the mount point, or the name of the session. */
  name: string;
  mountpoint: string;
  control: string | undefined;
}

function sessionPlaces(): Place[] {
  const places: Place[] = [];
  for (const { session } of listSessions()) {
    if (session instanceof Error) continue;
    const control = session.path("control.sock");
    // If `sluice run` was killed, the socket is left.
    if (existsSync(control) && session.isRunning()) places.push({ name: session.name, mountpoint: session.path("view"), control });
    session.close();
  }
  return places;
}

/** Of a mount that is bound elsewhere, too, the first place alone: its server is found by that one. */
function mountPlaces(): Place[] {
  const mounts = readMountTable().filter(({ type }) => type === "fuse.sluice");
  return mounts
    .filter(({ device }, at) => mounts.findIndex((mount) => mount.device === device) === at)
    .map(({ mountpoint }) => ({ name: mountpoint, mountpoint, control: undefined }));
}

/** @param name of the session, or the path of its view */
export function runningSession(name: string): Place | undefined {
  const path = realMountpoint(name);
  return sessionPlaces().find((place) => place.name === name || realMountpoint(place.mountpoint) === path);
}

/** @param name of a session, or a mount point; undefined: all */
export function placesOf(name: string | undefined, control: string | undefined): Place[] {
  if (name !== undefined) return [runningSession(name) ?? { name, mountpoint: name, control }];
  const sessions = sessionPlaces();
  // A host service mounts the view of a session in this namespace.
  const views = new Set(sessions.map(({ mountpoint }) => realMountpoint(mountpoint)));
  return [...sessions, ...mountPlaces().filter(({ mountpoint }) => !views.has(mountpoint))];
}
