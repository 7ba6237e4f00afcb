/**
 * Objects that leave the session for the directory as they are. A rename takes them out of the upper layer into their slots, so nothing is
 * copied. The record names them before the first one moves: whoever reverses the apply gives them back, with their marks.
 */
import { isMark, type LayerStack } from "@sluice/layer-tools";
import { inDirectory, native } from "@sluice/native";
import { escapeName } from "@sluice/runtime/cli";
import { AT, Attr, Errno, RENAME, UTIME } from "@sluice/vfs";
import { above } from "../complete-selection.js";
import type { Side } from "../difference.js";
import { LastDirectory, look, must, type Place } from "./place.js";
import type { ApplyRecord, Mark, ParentTimes, Step, TakenStep } from "./record.js";
import { changed, isInode } from "./steps.js";

const OWNER_WRITES = 0o200;
/** The owner may not write in its directory, the object is immutable, or belongs to another quota: it is copied. */
const NOT_MOVABLE: readonly number[] = [-Errno.EACCES, -Errno.EPERM, -Errno.EXDEV];
/** The session has a newer object there, or no such directory. */
const NO_ROOM: readonly number[] = [-Errno.EEXIST, -Errno.ENOENT, -Errno.ENOTDIR, -Errno.ELOOP];

/** Asks for the length of a value alone. */
const NOTHING = new Uint8Array(0);

export const isTaken = (step: Step): step is TakenStep => (step.do === "add" || step.do === "replace") && step.marks !== undefined;

/** The marks of an object that can leave the session as it is; undefined if it has to be copied. */
export function marksIfMovable(stack: LayerStack, path: string, { object, data, type }: Side): Mark[] | undefined {
  const { attr, listed, layer } = object;
  if (type === "directory" || layer !== 0 || object.path !== path || data.layer !== 0 || data.path !== path) return undefined;
  if (attr.nlink !== 1 || listed === undefined) return undefined;
  const { prefix } = stack.tree(object);
  const marks = listed.filter((name) => isMark(prefix, name));
  if (marks.length === 0) return [];
  // Any other mark says that the object is not the whole one. Marks of users are changed only by those who may write the file.
  if (marks.some((name) => name !== `${prefix}origin`)) return undefined;
  if (process.geteuid?.() !== 0 && (attr.mode & OWNER_WRITES) === 0) return undefined;
  const origin = stack.rawMark(object, "origin");
  return origin === undefined ? undefined : [[`${prefix}origin`, origin.toString("base64")]];
}

/** The time of a directory of the upper layer that objects leave. */
export function timesOfParent(upper: number, path: string): ParentTimes | undefined {
  const attr = look(upper, path);
  return attr === undefined ? undefined : { path, mtimeSec: attr.mtimeSec, mtimeNsec: attr.mtimeNsec };
}

/** Takes objects out of the upper layer. */
export class Taking {
  readonly #upper: LastDirectory;
  readonly #slots: number;
  readonly #taken = new Attr();

  constructor(upper: number, slots: number) {
    this.#upper = new LastDirectory(upper);
    this.#slots = slots;
  }

  /** @returns whether the object could leave the session. @throws CliError if it is another one */
  take({ path, slot, after, marks }: TakenStep): boolean {
    const name = String(slot);
    const move = (directory: number, from: string): number => native.renameat2(directory, from, this.#slots, name, RENAME.NOREPLACE);
    const status = this.#upper.at(path, move);
    if (NOT_MOVABLE.includes(status)) return false;
    must(status, escapeName(path), "it cannot be taken out of the session");
    if (!isInode(look(this.#slots, name, this.#taken), after)) {
      this.#upper.at(path, (directory, back) => native.renameat2(this.#slots, name, directory, back, RENAME.NOREPLACE));
      throw changed(path);
    }
    for (const [mark] of marks) must(native.removexattrat(this.#slots, name, mark), escapeName(path), "its marks cannot be removed");
    return true;
  }

  close(): void {
    this.#upper.close();
  }
}

/** @returns whether the session has the object again, or always had it */
function giveBackOne(slots: number, upper: LastDirectory, { path, slot, after, marks }: TakenStep): boolean {
  const name = String(slot);
  if (!isInode(look(slots, name), after)) return true;
  for (const [mark, value] of marks) {
    if (native.getxattrat(slots, name, mark, NOTHING) >= 0) continue;
    must(native.setxattrat(slots, name, mark, Buffer.from(value, "base64"), 0), escapeName(path), "its marks cannot be set");
  }
  const status = upper.at(path, (directory, into) => native.renameat2(slots, name, directory, into, RENAME.NOREPLACE));
  if (NO_ROOM.includes(status)) return false;
  must(status, escapeName(path), "it cannot be put back into the session");
  return true;
}

/**
 * Gives objects back to the session, once the steps are reversed. It can be repeated.
 * @param lost parts of the upper layer that the session has replaced since: objects in them stay away
 * @returns the paths of the objects for which the session has no room
 */
export function giveBack({ upper }: Place, slots: number, record: ApplyRecord, lost: ReadonlySet<string> = new Set()): string[] {
  const directory = new LastDirectory(upper.fd);
  const isLost = (path: string): boolean => lost.size > 0 && [...above(path)].some((one) => lost.has(one));
  try {
    return record.steps.flatMap((step) => {
      if (!isTaken(step) || isLost(step.path)) return [];
      return giveBackOne(slots, directory, step) ? [] : [step.path];
    });
  } finally {
    directory.close();
    restoreTimes(upper.fd, record.parents ?? []);
  }
}

/** Best effort: the directories are the session's, and may be gone. */
function restoreTimes(upper: number, parents: readonly ParentTimes[]): void {
  for (const { path, mtimeSec, mtimeNsec } of parents) {
    const times = { atimeSec: 0, atimeNsec: UTIME.OMIT, mtimeSec, mtimeNsec };
    inDirectory(upper, path, (directory, name) => native.utimensat(directory, name, times, AT.SYMLINK_NOFOLLOW));
  }
}
