/** Undoes the last apply of a session, if nobody changed its files since. */
import { isDirectory, join } from "@sluice/layer-tools";
import { native, readNames } from "@sluice/native";
import { unfit } from "@sluice/runtime/cli";
import type { Attr } from "@sluice/vfs";
import { sealOf } from "../identity.js";
import { finishUndo, inApply, removedFiles, type Stuck } from "./finish.js";
import { isOwn } from "./own-objects.js";
import { APPLY, look, must, openIn, type Place, UNDO } from "./place.js";
import { isInode } from "./steps.js";
import { findWriters, type Writers } from "./writers.js";
import { Earlier } from "./restored.js";
import {
  addKnown,
  type ApplyRecord,
  BEGUN,
  DONE,
  readApplyRecord,
  readKnown,
  slotsOf,
  type States,
  UNDOING,
  writeKnown,
} from "./record.js";

interface Since {
  /** The paths that somebody changed, or added to a directory that would go. */
  changed: string[];
  /** Those that somebody removed: the objects from before the apply can return. */
  removed: string[];
}

/** Whether somebody removed the applied object: the former one can return. Otherwise the directory above is another object. */
function isRemoved(base: number, path: string, replaced: boolean): boolean {
  const parent = look(base, path.slice(0, Math.max(0, path.lastIndexOf("/"))));
  return parent === undefined ? !replaced : isDirectory(parent);
}

function isStillSealed(earlier: Earlier, path: string, seal: string | null, attr: Attr | undefined): boolean {
  if (attr === undefined || seal === null) return attr === undefined && seal === null;
  return sealOf(attr) === seal || earlier.formsOf(path, attr).some((form) => sealOf(form) === seal);
}

function happenedSince(place: Place, { seals, steps }: ApplyRecord): Since {
  const base = place.base.fd;
  const earlier = new Earlier(place);
  const replaced = new Set(steps.flatMap((step) => (step.do === "replace" ? [step.path] : [])));
  const [changed, removed]: [string[], string[]] = [[], []];
  for (const [path, seal] of seals) {
    const attr = look(base, path);
    if (isStillSealed(earlier, path, seal, attr)) continue;
    (attr === undefined && isRemoved(base, path, replaced.has(path)) ? removed : changed).push(path);
  }
  const mine = new Set(seals.map(([path]) => path));
  for (const step of steps) {
    if (step.do === "furnish" || step.do === "remove" || !step.directory || changed.includes(step.path)) continue;
    const fd = openIn(base, step.path);
    if (fd === undefined) continue;
    const names = readNames(fd);
    native.close(fd);
    if (typeof names === "number") must(names, step.path, "the directory cannot be read");
    else changed.push(...names.map((name) => join(step.path, name)).filter((path) => !mine.has(path)));
  }
  return { changed, removed };
}

/** @throws CliError if somebody removed replaced objects: those of a session on another mount lie in the directory */
function checkKept(place: Place, directory: number, record: ApplyRecord): void {
  const at = slotsOf(record, place, directory);
  const slots = openIn(at.fd, record.slots.name);
  const lost = record.steps.filter((step) => {
    if ((step.do !== "remove" && step.do !== "replace") || isOwn(step)) return false;
    return slots === undefined || !isInode(look(slots, String(step.slot)), step.before);
  });
  if (slots !== undefined) native.close(slots);
  if (lost.length === 0) return;
  throw removedFiles(place, record, { paths: lost.map(({ path }) => path), outcome: "nothing was undone" });
}

/** Files that would leave the directory while a program writes them. */
function writersOf({ base }: Place, { steps }: ApplyRecord): Writers {
  const taken = steps.filter((step) => (step.do === "add" || step.do === "replace") && !step.directory);
  return findWriters(
    base.fd,
    taken.map(({ path }) => path),
  );
}

/**
 * `newer`: the session has newer changes at these paths. `regrouped`: these keep the group that the apply gave them. `removed`: somebody removed
 * the applied objects. `stuck`: objects that stay, since somebody changed them.
 */
export type Undone =
  | { done: true; paths: number; newer: string[]; regrouped: string[]; removed: string[]; stuck: Stuck[] }
  | { done: false; changed: string[]; writers: Writers };

/**
 * The session is locked, and recovered. @param skipChanged objects that somebody changed stay, and the rest is undone
 * @returns the paths that keep it from being undone, if there are any. @throws CliError
 */
export function undoApply(place: Place, { skipChanged = false } = {}): Undone {
  const undone = inApply(place, UNDO, (directory): Undone | undefined => {
    const record = readApplyRecord(directory, DONE, place.directory.path);
    if (record === undefined) return undefined;
    const { changed, removed } = happenedSince(place, record);
    const writers = writersOf(place, record);
    if ((changed.length > 0 && !skipChanged) || writers.size > 0) return { done: false, changed, writers };
    checkKept(place, directory, record);
    must(native.renameat2(directory, DONE, directory, UNDOING, 0), place.directory.path, "the record of the apply cannot be renamed");
    must(native.fsync(directory), place.directory.path, "it cannot be synced");
    const rest = finishUndo(place, directory, record, { tells: true });
    return { done: true, paths: record.seals.length - rest.stuck.length, removed, ...rest };
  });
  if (undone === undefined) throw unfit(place.name, "nothing of this session was applied, or it was undone", "see 'sluice diff'");
  return undone;
}

function listStates(place: Pick<Place, "directory">): States {
  const record = inApply(place, UNDO, (directory) => readApplyRecord(directory, DONE, place.directory.path));
  const seals = (record?.seals ?? []).flatMap(([path, seal]): States => (seal === null ? [] : [[path, seal]]));
  return [...readKnown(place), ...seals];
}

/** The states that the last apply gave to paths, and those of objects that an undone one gave back. @throws CliError */
export function appliedStates(place: Place): ReadonlyMap<string, ReadonlySet<string>> {
  const states = new Map<string, Set<string>>();
  for (const [path, identity] of listStates(place)) states.set(path, (states.get(path) ?? new Set()).add(identity));
  return states;
}

/** A checkpoint has these states from now on. @throws CliError */
export function noteStates(place: Pick<Place, "directory">, checkpoint: string): void {
  writeKnown(place, checkpoint, listStates(place));
}

/** Gives them to a fork. Those of a checkpoint say nothing of later applies, which it has not seen. @throws CliError */
export function passStates(from: Pick<Place, "directory">, to: Pick<Place, "directory">, checkpoint: string | undefined): void {
  const states = checkpoint === undefined ? listStates(from) : readKnown(from, checkpoint);
  if (states.length > 0) addKnown(to, states);
}

/** Records of the last apply, and of a killed command, which the next one on the session ends. */
const LAST: readonly string[] = [`${UNDO}/${DONE}`, `${UNDO}/${UNDOING}`, `${APPLY}/${DONE}`, `${APPLY}/${BEGUN}`];

/** When something was applied or undone last, in milliseconds since 1970; undefined if there is nothing to undo. */
export function appliedAt(place: Pick<Place, "directory">): number | undefined {
  const times = LAST.flatMap((name) => {
    const attr = look(place.directory.fd, name);
    return attr === undefined ? [] : [attr.mtimeSec * 1000 + attr.mtimeNsec / 1e6];
  });
  return times.length === 0 ? undefined : Math.max(...times);
}
