/** Checks that the layers exist, can be read, and do not overlap. */
import { accessSync, constants, opendirSync, statSync } from "node:fs";
import { codeOf, unfit } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";
import { checkCase } from "./check-case.js";
import { checkNotWritten } from "./check-not-written.js";
import { checkWork } from "./check-work.js";
import { checkNoKernelOverlay, type MountRow } from "@sluice/mount-control";
import { type LayersBeneath, pathOfOpen } from "./layers-beneath.js";
import { firstNested, type LocatedDirectory, locateDirectory, relationOf } from "./located-directory.js";
import type { Tell } from "./tell.js";

export interface LayerPlaces {
  lowers: readonly LocatedDirectory[];
  dataLowers: readonly LocatedDirectory[];
  upper: LocatedDirectory | undefined;
  work: LocatedDirectory | undefined;
}

const remedies: Readonly<Record<string, string>> = {
  ENOENT: "create it or correct the name",
  EACCES: "give the daemon read and search permission on it and on every directory above it",
  ENOTCONN: "it lies on a mount whose server has died: unmount that one first",
  ELOOP: "its symbolic links go in a circle: name the directory itself",
};

const DISJOINT = "choose directories of which none lies in another";

function problemOf(code: string): string {
  if (code === "ENOENT") return "there is no such directory (ENOENT)";
  if (code === "ENOTDIR") return "it is not a directory (ENOTDIR)";
  return `it cannot be read (${code})`;
}

/** Whether it belongs to this process's user, whose permissions are a matter of chmod(1). */
function isOwn(path: string): boolean {
  try {
    return statSync(path).uid === process.geteuid?.();
  } catch {
    return false;
  }
}

/** A directory that can be listed. An error names it by its `role`: "lower layer". @throws CliError */
export function readableDirectory(path: string, role: string, table: readonly MountRow[], beneath?: LayersBeneath): LocatedDirectory {
  try {
    if (beneath !== undefined) return readableBeneath(beneath.locate(path, role, table), role);
    if (!statSync(path).isDirectory()) throw unfit(path, `this ${role} is not a directory (ENOTDIR)`, "name a directory");
    opendirSync(path).closeSync();
    checkCase(path, role);
    return locateDirectory(path, table);
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error)) throw error;
    const code = codeOf(error);
    const remedy = code === "EACCES" && isOwn(path) ? "run 'chmod u+rx' on it" : remedies[code];
    throw unfit(path, `${role}: ${problemOf(code)}`, remedy ?? "name a directory that can be read");
  }
}

function readableBeneath(place: LocatedDirectory, role: string): LocatedDirectory {
  const path = placeOf(place);
  opendirSync(path).closeSync();
  checkCase(path, role, place.given);
  return place;
}

/** A path that leads to the directory itself. */
function placeOf({ given, opened }: LocatedDirectory): string {
  return opened === undefined ? given : pathOfOpen(opened.fd);
}

type Find = (path: string, role: string) => LocatedDirectory;

function writableDirectory(path: string, role: string, find: Find): LocatedDirectory {
  const place = find(path, role);
  try {
    accessSync(placeOf(place), constants.W_OK);
  } catch (error) {
    const code = codeOf(error);
    // Its owner may give that permission at any time, as the mount does for a copy-up.
    if (code === "EACCES" && isOwn(placeOf(place))) return place;
    const remedy = code === "EACCES" ? "mount as a user who may write to it" : "put it on a file system that is mounted read-write";
    throw unfit(path, `${role}: it cannot be written (${code})`, remedy);
  }
  return place;
}

/** No layer may appear twice or lie inside another one. */
function checkLowers(lowers: readonly LocatedDirectory[]): void {
  const seen = new Map<string, LocatedDirectory>();
  for (const place of lowers) {
    const before = seen.get(place.key);
    if (before !== undefined) {
      throw unfit(place.given, `it is the same directory as lower layer ${before.given} (ELOOP)`, "give each layer once");
    }
    seen.set(place.key, place);
  }
  const nested = firstNested(lowers);
  if (nested === undefined) return;
  const { inner, outer } = nested;
  throw unfit(inner.given, `this lower layer lies inside lower layer ${outer.given} (ELOOP)`, DISJOINT);
}

function checkDisjoint(place: LocatedDirectory, role: string, other: LocatedDirectory, otherRole: string): void {
  const relation = relationOf(place, other);
  if (relation === "same") throw unfit(place.given, `this ${role} is the same directory as ${otherRole} ${other.given} (ELOOP)`, DISJOINT);
  if (relation === "inside") throw unfit(place.given, `this ${role} lies inside ${otherRole} ${other.given} (ELOOP)`, DISJOINT);
  if (relationOf(other, place) === "inside") {
    throw unfit(place.given, `this ${role} contains ${otherRole} ${other.given} (ELOOP)`, DISJOINT);
  }
}

function checkOneFileSystem(upper: LocatedDirectory, work: LocatedDirectory): void {
  const remedy = "put both on one file system, reached through one mount: files are renamed from work to upper";
  if (upper.dev !== work.dev) {
    throw unfit(work.given, `the work directory is on another file system than upper layer ${upper.given} (EXDEV)`, remedy);
  }
  if (upper.mount?.mountId !== work.mount?.mountId) {
    throw unfit(work.given, `the work directory is on another mount than upper layer ${upper.given} (EXDEV)`, remedy);
  }
}

/** @param beneath opens the layers, if links are not to be followed. @throws CliError */
export function checkLayers(
  config: MountConfig,
  table: readonly MountRow[],
  { beneath, tell }: { beneath: LayersBeneath | undefined; tell: Tell },
): LayerPlaces {
  const find: Find = (path, role) => readableDirectory(path, role, table, beneath);
  const lowers = config.lowers.map((path) => find(path, "lower layer"));
  const dataLowers = config.dataLowers.map((path) => find(path, "data-only layer"));
  const below = [...lowers, ...dataLowers];
  checkLowers(below);
  if (config.upper === undefined || config.work === undefined) {
    checkNotWritten({ below, writable: [] }, table, { index: false, tell });
    return { lowers, dataLowers, upper: undefined, work: undefined };
  }
  const upper = writableDirectory(config.upper, "upper layer", find);
  const work = writableDirectory(config.work, "work directory", find);
  checkDisjoint(work, "work directory", upper, "upper layer");
  for (const lower of below) {
    checkDisjoint(upper, "upper layer", lower, "lower layer");
    checkDisjoint(work, "work directory", lower, "lower layer");
  }
  checkOneFileSystem(upper, work);
  checkWork(work, upper);
  checkNoKernelOverlay([upper, work], table);
  checkNotWritten({ below, writable: [upper, work] }, table, { index: config.index === "on", tell });
  return { lowers, dataLowers, upper, work };
}
