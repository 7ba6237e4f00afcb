/**
 * Ends an apply, forwards or backwards. Each function can be repeated: it finds out how far an earlier call of it came before it was
 * killed.
 */
import { inDirectory, native } from "@sluice/native";
import { escapeName, unfit } from "@sluice/runtime/cli";
import { type Attr, Errno, RENAME } from "@sluice/vfs";
import { contentStateOf, identityOf, inodeKeyOf, sealOf } from "../identity.js";
import { FormerObjects, staying } from "./former-objects.js";
import { OwnPlaces, restoreTimes } from "./own-objects.js";
import { APPLY, closeAgain, exists, look, moveOwn, must, openIn, type Place, REMAINS, remove, UNDO } from "./place.js";
import { addKnown, type ApplyRecord, DONE, readApplyRecord, readKnown, slotsOf, writeApplyRecord } from "./record.js";
import { noteReturned } from "./restored.js";
import { isInode, Steps } from "./steps.js";

/** In the directory of an apply: the parts that left the upper layer. */
const LEFT = "left";
const MAX_NAMED = 3;
const REST_UNDONE = "the rest was undone";

/** Runs `use` on the directory of an apply, if it exists. */
export function inApply<T>(place: Pick<Place, "directory">, name: string, use: (directory: number) => T): T | undefined {
  const directory = openIn(place.directory.fd, name);
  if (directory === undefined) return undefined;
  try {
    return use(directory);
  } finally {
    native.close(directory);
  }
}

function removeSlots(place: Place, directory: number, record: ApplyRecord): void {
  remove(slotsOf(record, place, directory), record.slots.name);
}

/** On two disks a crash of the machine could take the record of the apply, and leave the directory as it was before. @throws CliError */
function syncBase({ base }: Place, { slots }: ApplyRecord): void {
  const fd = slots.in === "base" ? openIn(base.fd, ".") : undefined;
  if (fd === undefined) return;
  try {
    must(native.syncfs(fd), base.path, "its files cannot be synced");
  } finally {
    native.close(fd);
  }
}

/** Removes the directory of an apply, in one step. */
function discard(place: Place, name: string): void {
  const { fd, path } = place.directory;
  remove(place.directory, REMAINS);
  const status = native.renameat2(fd, name, fd, REMAINS, 0);
  if (status !== -Errno.ENOENT) must(status, path, "the remains of an apply cannot be renamed");
  remove(place.directory, REMAINS);
}

/** Forgets the last apply: it can no longer be undone. */
export function forgetUndo(place: Place): void {
  inApply(place, UNDO, (directory) => {
    const record = readApplyRecord(directory, DONE, place.directory.path);
    if (record !== undefined) removeSlots(place, directory, record);
  });
  discard(place, UNDO);
}

/** The number of names of each inode that the last apply keeps for its undo. */
export function keptNames(place: Place): ReadonlyMap<string, number> {
  const names = new Map<string, number>();
  const record = inApply(place, UNDO, (directory) => readApplyRecord(directory, DONE, place.directory.path));
  const base = look(place.base.fd, "") as Attr;
  for (const step of record?.steps ?? []) {
    if (step.do !== "remove" && step.do !== "replace") continue;
    const inode = inodeKeyOf({ words: base.words, ino: step.before.ino });
    names.set(inode, (names.get(inode) ?? 0) + 1);
  }
  return names;
}

/** Of paths whose file the last apply kept another name of: the state changes when that name is removed. */
function sealsOnKept(place: Place, { seals }: ApplyRecord): string[] {
  const kept = keptNames(place);
  if (kept.size === 0) return [];
  return seals.flatMap(([path, seal]) => {
    const attr = seal === null ? undefined : look(place.base.fd, path);
    return attr !== undefined && sealOf(attr) === seal && kept.has(inodeKeyOf(attr)) ? [path] : [];
  });
}

/** Paths that are as an apply left them. */
function stillSealed({ base }: Place, { seals }: Pick<ApplyRecord, "seals">): string[] {
  return seals.flatMap(([path, seal]) => {
    const attr = seal === null ? undefined : look(base.fd, path);
    return attr !== undefined && sealOf(attr) === seal ? [path] : [];
  });
}

/** An apply that can no longer be undone has no record: its states are not somebody else's changes either. */
function keepSeals(place: Place, paths: readonly string[]): void {
  const states = paths.flatMap((path): [string, string][] => {
    const attr = look(place.base.fd, path);
    return attr === undefined ? [] : [[path, sealOf(attr)]];
  });
  if (states.length > 0) addKnown(place, states);
}

function sealAgain(place: Place, directory: number, { record, paths }: { record: ApplyRecord; paths: readonly string[] }): void {
  if (paths.length === 0) return;
  const seals = record.seals.map(([path, seal]): [string, string | null] => {
    const attr = paths.includes(path) ? look(place.base.fd, path) : undefined;
    return [path, attr === undefined ? seal : sealOf(attr)];
  });
  writeApplyRecord(directory, DONE, { ...record, seals });
}

/** The changes are in the base: they leave the session, and can be undone from now on. */
export function finishApply(place: Place, directory: number, record: ApplyRecord): void {
  // The last apply may keep names of files that are still in the directory.
  const last = inApply(place, UNDO, (undo) => readApplyRecord(undo, DONE, place.directory.path));
  const earlier = stillKnown(place, last?.names);
  const sealed = stillSealed(place, last ?? { seals: [] });
  const paths = sealsOnKept(place, record);
  forgetUndo(place);
  sealAgain(place, directory, { record, paths });
  keepSeals(place, sealed);
  const names = [...earlier, ...(record.names ?? [])];
  noteRestored(place, { steps: [], names });
  const made = native.mkdirat(directory, LEFT, 0o700);
  if (made !== -Errno.EEXIST) must(made, place.directory.path, "a directory cannot be created");
  inApply(place, `${APPLY}/${LEFT}`, (left) => {
    for (const [index, path] of record.leaves.entries()) {
      const to = { directory: left, name: String(index) };
      const status = inDirectory(place.upper.fd, path, (directory, name) => moveOwn({ directory, name }, to));
      if (status !== -Errno.ENOENT) must(status, `${place.upper.path}/${escapeName(path)}`, "it cannot be taken out of the session");
    }
    for (const [index, mode] of record.closed ?? []) closeAgain(left, String(index), mode);
  });
  // A part that left the session may have a name of a file that stays: it changed places with a file of the session.
  noteRestored(place, { steps: [], names });
  const { fd, path } = place.directory;
  must(native.renameat2(fd, APPLY, fd, UNDO, RENAME.NOREPLACE), path, "the record of the apply cannot be renamed");
  must(native.fsync(fd), path, "it cannot be synced");
}

/** The replaced files of a session on another mount lie in the directory: somebody may remove them. */
export function removedFiles(
  place: Place,
  { slots }: ApplyRecord,
  { paths, outcome }: { paths: readonly string[]; outcome: string },
): Error {
  const more = paths.length > MAX_NAMED ? ` and ${paths.length - MAX_NAMED} more` : "";
  const at = slots.in === "session" ? place.directory.path : place.base.path;
  const names = `${paths.slice(0, MAX_NAMED).map(escapeName).join(", ")}${more}`;
  return unfit(names, `somebody removed the replaced files from ${at}/${slots.name} (ENOENT): ${outcome}`, "take them from a backup");
}

/** Somebody may have removed them. New objects go there, to be removed with it. */
function openSlotsAgain({ fd }: { fd: number }, { slots, steps }: ApplyRecord): number | undefined {
  if (steps.length > 0) native.mkdirat(fd, slots.name, 0o700);
  return openIn(fd, slots.name);
}

/** An object that somebody changed since: it stays there. */
export interface Stuck {
  path: string;
  /** The path that got the object from before the apply, if the directory had one. */
  former: string | undefined;
}

interface Reversed {
  stuck: Stuck[];
  /** The session has newer objects there. */
  newer: string[];
  /** As `Steps.regrouped`. */
  regrouped: string[];
  /** Somebody removed the objects that the directory had there. */
  lost: string[];
}

/**
 * Reverses the steps, the last one first. @param left the directory of the parts that left the upper layer. @throws CliError
 */
function reverseAll(place: Place, directory: number, record: ApplyRecord, left?: number): Reversed {
  const at = slotsOf(record, place, directory);
  const slots = openSlotsAgain(at, record);
  const own = new OwnPlaces(place.upper.fd, left === undefined ? undefined : { fd: left, leaves: record.leaves });
  try {
    const steps = new Steps(place.base.fd, slots ?? -1, { own, inBase: record.slots.in === "base" });
    for (const step of record.steps) steps.openNew(step);
    const stuck = [...record.steps].reverse().filter((step) => steps.reverse(step) !== undefined);
    const beside = new FormerObjects(place.base.fd, slots ?? -1, own);
    const placed = stuck.map((step): Stuck => ({ path: step.path, former: beside.putBeside(step) }));
    // If somebody removed the applied object, the former one got its place again.
    return {
      stuck: placed.filter(({ path, former }) => path !== former),
      newer: steps.newer,
      lost: steps.lost,
      regrouped: steps.regrouped,
    };
  } finally {
    own.close();
    if (slots !== undefined) native.close(slots);
  }
}

/** They were moved away and back, or their metadata was set again: that is not somebody else's change. */
function noteRestored(place: Place, { steps, names = [] }: Pick<ApplyRecord, "steps" | "names">): void {
  const restored = [...steps, ...names].flatMap((one): [string, string][] => {
    const attr = "before" in one ? look(place.base.fd, one.path) : undefined;
    if (!("before" in one) || !isInode(attr, one.before) || contentStateOf(attr) !== one.before.state) return [];
    return [[one.path, identityOf(attr)]];
  });
  noteReturned(place, { steps, names });
  if (restored.length > 0) addKnown(place, restored);
}

/** Of the names of files whose other names were applied: those that nobody has changed since. */
function stillKnown(place: Place, names: ApplyRecord["names"] = []): NonNullable<ApplyRecord["names"]> {
  const known = new Map(names.length === 0 ? [] : readKnown(place));
  return names.filter(({ path }) => {
    const attr = look(place.base.fd, path);
    return attr !== undefined && known.get(path) === identityOf(attr);
  });
}

function hasNotedRestored(place: Place, record: ApplyRecord): boolean {
  try {
    noteRestored(place, record);
    return true;
  } catch {
    return false;
  }
}

/** Once: the next command finds nothing to reverse. @throws CliError if something could not be */
function tellOfRest(place: Place, record: ApplyRecord, { stuck, lost }: Pick<Reversed, "stuck" | "lost">): void {
  const others = stuck.length === 0 ? "" : `, but not ${stuck.map(({ path }) => escapeName(path)).join(", ")}, which changed since`;
  if (lost.length > 0) throw removedFiles(place, record, { paths: lost, outcome: `${REST_UNDONE}${others}` });
  if (stuck.length > 0)
    throw staying(
      stuck.map(({ path }) => path),
      stuck.flatMap(({ former }) => former ?? []),
    );
}

/** The base becomes as it was before the apply, and nothing stays of it. @throws CliError also if it is so, but that cannot be noted */
export function abandonApply(place: Place, directory: number, record: ApplyRecord): void {
  const reversed = reverseAll(place, directory, record);
  restoreTimes(place.upper.fd, record.parents ?? []);
  removeSlots(place, directory, record);
  syncBase(place, record);
  const isNoted = hasNotedRestored(place, record);
  discard(place, APPLY);
  // On a full disk its own record had the room.
  if (!isNoted) noteRestored(place, record);
  tellOfRest(place, record, reversed);
}

/** Puts a part back, unless the session has made another one there since. */
function putBack(place: Place, left: number, { path, index }: { path: string; index: number }): boolean {
  const name = String(index);
  if (!exists(left, name)) return true;
  const from = { directory: left, name };
  const status = inDirectory(place.upper.fd, path, (directory, last) => moveOwn(from, { directory, name: last }));
  if (status === -Errno.EEXIST || status === -Errno.ENOENT || status === -Errno.ENOTDIR) return false;
  must(status, `${place.upper.path}/${escapeName(path)}`, "it cannot be put back into the session");
  return true;
}

/**
 * The base becomes as it was, and the session has its changes again. @param tells that of objects that stay: otherwise it is an error. @throws CliError
 */
export function finishUndo(
  place: Place,
  directory: number,
  record: ApplyRecord,
  { tells = false } = {},
): Pick<Reversed, "newer" | "regrouped" | "stuck"> {
  const names = stillKnown(place, record.names);
  const reversed = inApply(place, `${UNDO}/${LEFT}`, (left): Reversed => {
    const { newer, ...rest } = reverseAll(place, directory, record, left);
    const stay = [...record.leaves.entries()].flatMap(([index, path]) => (putBack(place, left, { path, index }) ? [] : [path]));
    for (const [index, mode] of record.closed ?? []) {
      const path = record.leaves[index] as string;
      if (!stay.includes(path)) closeAgain(place.upper.fd, path, mode);
    }
    return { ...rest, newer: [...newer, ...stay] };
  });
  restoreTimes(place.upper.fd, record.parents ?? []);
  removeSlots(place, directory, record);
  syncBase(place, record);
  // A slot may have a name of a file that stays: its removal is the last change.
  noteRestored(place, { steps: record.steps, names });
  discard(place, UNDO);
  if (reversed !== undefined) tellOfRest(place, record, tells ? { ...reversed, stuck: [] } : reversed);
  return reversed ?? { newer: [], regrouped: [], stuck: [] };
}
