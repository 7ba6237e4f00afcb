/**
 * The record of an apply, on disk before anything changes: every step with the objects before and after it, so that the next command
 * undoes what a killed one began. It is replaced as a whole.
 */
import { readFileSync } from "node:fs";
import { readIdentity } from "@sluice/base-record";
import { native, openBeneath } from "@sluice/native";
import { CliError, EXIT, unfit } from "@sluice/runtime/cli";
import { Errno, errnoName, O } from "@sluice/vfs";
import { must, type Place } from "./place.js";

/** An inode, whatever becomes of its attributes. */
export interface Inode {
  /** As it was when the record was written. */
  device: string;
  ino: number;
  /** Its time of birth, since its number may be given to another one. Empty if the file system does not keep that: see `isOfOverlay`. */
  born: string;
}

/** An object that was there at the review. */
export interface Reviewed extends Inode {
  /** Undefined if it was in conflict. */
  state: string | undefined;
  /** The time of its last change in nanoseconds, and its state in any case. Earlier versions wrote none. */
  seen?: [changed: string, state: string];
  /** Of a directory that cannot be moved: an empty one in the slot, which an undo puts in its place. */
  standIn?: Inode;
}

/** The metadata of an object before a step; the attributes are in base64. */
export interface Metadata {
  mode: number;
  uid: number;
  gid: number;
  atimeSec: number;
  atimeNsec: number;
  mtimeSec: number;
  mtimeNsec: number;
  attributes: [name: string, value: string][];
  /** These are all attributes of the object, and not without those whose names look like marks. */
  areAll?: true;
}

/** A mark of overlayfs in base64. */
export type Mark = [name: string, value: string];

/** A new object in its slot. */
export interface Made extends Inode {
  /** As `contentStateOf`, unless it is a directory or has other names. Earlier versions wrote none, or only of copies. */
  state?: string;
}

/** The metadata that an object gets. */
interface Now {
  mode: number;
  uid: number;
  gid: number;
  /** In base64. Earlier versions wrote neither these nor the time. */
  attributes?: [name: string, value: string][];
  mtimeSec?: number;
  mtimeNsec?: number;
  /** It has or gets an access control list, which changes the bits of the group before the mode does. */
  acl?: boolean;
}

interface Put {
  path: string;
  slot: number;
  after: Made;
  directory: boolean;
  /** Only of an object that leaves the session as it is, without its slot: the marks that it has there. */
  marks?: Mark[];
}

/** The time of a directory of the upper layer. */
export interface ParentTimes {
  path: string;
  mtimeSec: number;
  mtimeNsec: number;
}

export type Step =
  /** The object in the slot gets the path. */
  | ({ do: "add" } & Put)
  /** The object in the slot and the one at the path change places. */
  | ({ do: "replace"; before: Reviewed } & Put)
  /** The object at the path goes to the slot, or its stand-in is there. */
  | { do: "remove"; path: string; slot: number; before: Reviewed; directory: boolean }
  /** The object at the path stays, and gets other metadata. */
  | { do: "furnish"; path: string; before: Reviewed; old: Metadata; now?: Now };

export type OwnStep = Extract<Step, Put> & { marks: Mark[] };

/** The place of a directory in a list, and its mode. */
export type Closed = [place: number, mode: number];

export interface ApplyRecord {
  /** Since version 2 objects leave the session as they are, and the record of the end has no steps. */
  version: 1 | 2;
  /** The directory of the slots, on the file system of the base: in the directory of the apply, or of the base. */
  slots: { in: "session" | "base"; name: string };
  steps: Step[];
  /** Objects with several names: a step with one of them changes the ctime of the others. Earlier versions wrote none. */
  names?: { path: string; before: Reviewed }[];
  /** Of the directories that objects leave. */
  parents?: ParentTimes[];
  /** Paths of the upper layer that the session no longer needs. */
  leaves: string[];
  /** The modes of those that are directories which their mode closes to the owner: they are opened while they move. Earlier versions wrote none. */
  closed?: Closed[];
  /** The state of each path after the apply; null if nothing has the name. */
  seals: [path: string, identity: string | null][];
}

/** Before everything is done, and after. */
export const BEGUN = "begun.json";
export const DONE = "done.json";
/** In place of the latter, while it is undone. */
export const UNDOING = "undoing.json";

/** In the session's directory: states of objects that an apply moved away and back, which therefore look changed. */
const KNOWN = "known.json";

export type States = [path: string, identity: string][];
type PlaceOnDisk = Pick<Place, "directory">;

/** The content of a file that this package wrote; undefined if it does not exist. `shown` is for errors. @throws CliError */
function readJson(directory: number, name: string, shown: string): unknown {
  const fd = openBeneath(directory, name, O.RDONLY | O.NONBLOCK, 0);
  if (fd === -Errno.ENOENT) return undefined;
  if (fd < 0) throw unfit(shown, `the record of an apply cannot be read (${errnoName(-fd)})`, "check its permissions");
  try {
    return JSON.parse(readFileSync(fd, "utf8"));
  } catch (cause) {
    throw new CliError(
      { object: shown, problem: "the record of an apply is damaged", remedy: "discard the session", exitCode: EXIT.UNFIT },
      { cause },
    );
  } finally {
    native.close(fd);
  }
}

/** For errors of these files. */
const SHOWN = "record of the session";

/** Replaces the file as a whole. @throws CliError */
function writeJson(directory: number, name: string, value: unknown): void {
  const next = `${name}.next`;
  const bytes = Buffer.from(JSON.stringify(value));
  const fd = must(openBeneath(directory, next, O.WRONLY | O.CREAT | O.TRUNC, 0o600), SHOWN, "it cannot be created");
  try {
    for (let at = 0; at < bytes.length; ) at += must(native.write(fd, bytes, at, bytes.length - at), SHOWN, "it cannot be written");
    must(native.fsync(fd), SHOWN, "it cannot be synced");
  } finally {
    native.close(fd);
  }
  must(native.renameat2(directory, next, directory, name, 0), SHOWN, "it cannot be renamed");
  must(native.fsync(directory), SHOWN, "its directory cannot be synced");
}

/** `directory` is that of the apply. @returns undefined if there is none. @throws CliError */
export function readApplyRecord(directory: number, name: string, shown: string): ApplyRecord | undefined {
  const read = readJson(directory, name, shown) as ApplyRecord | undefined; // nobody else writes into the session's directory
  if (read === undefined) return undefined;
  const seals = read.seals.map(([path, seal]): [string, string | null] => [path, seal === null ? null : readIdentity(seal)]);
  const record = { ...read, seals };
  if (record.version === 1) return record;
  if (record.version === 2) return name === BEGUN ? record : { ...readApplyRecord(directory, BEGUN, shown), ...record };
  throw unfit(shown, "the record of an apply is of another version", "use the version of Sluice that wrote it");
}

/** The steps do not change after the beginning, and are in its record alone. */
export function writeApplyRecord(directory: number, name: string, { steps, ...record }: ApplyRecord): void {
  writeJson(directory, name, name === BEGUN ? { ...record, steps } : record);
}

/** `checkpoint`: as they were when the session got it. */
const knownOf = (checkpoint: string | undefined): string => (checkpoint === undefined ? KNOWN : `known@${checkpoint}.json`);

/** Undone applies leave these. @throws CliError */
export function readKnown({ directory: { fd, path } }: PlaceOnDisk, checkpoint?: string): States {
  const states = (readJson(fd, knownOf(checkpoint), path) as States | undefined) ?? [];
  return states.map(([one, state]) => [one, readIdentity(state)]);
}

export function addKnown(place: PlaceOnDisk, states: States): void {
  writeJson(place.directory.fd, KNOWN, [...new Map([...readKnown(place), ...states])]);
}

/** Those of an earlier checkpoint of the name go. @throws CliError */
export function writeKnown({ directory }: PlaceOnDisk, checkpoint: string, states: States): void {
  writeJson(directory.fd, knownOf(checkpoint), [...new Map(states)]);
}

export function slotsOf(record: ApplyRecord, place: Place, directory: number): { fd: number; path: string } {
  return record.slots.in === "session" ? { fd: directory, path: place.directory.path } : place.base;
}
