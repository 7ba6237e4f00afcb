/**
 * Objects of the session that become objects of the directory as they are: a rename lets them change places, so nothing is copied. The object
 * that the directory had lies in the session meanwhile. The record names such a step with the marks that the object loses.
 */
import { isMark, type LayerStack, shownName } from "@sluice/layer-tools";
import { inDirectory, native, readNames } from "@sluice/native";
import { escapeName } from "@sluice/runtime/cli";
import { AT, Attr, Errno, UTIME } from "@sluice/vfs";
import { above } from "../complete-selection.js";
import type { Side } from "../difference.js";
import type { Leaves } from "./leaves.js";
import { isProtected, LastDirectory, must, type UseName } from "./place.js";
import type { Mark, OwnStep, ParentTimes, Step } from "./record.js";

const OWNER_WRITES = 0o200;
const OWNER_WRITES_IN = 0o300;
/** Asks for the length of a value alone. */
const NOTHING = new Uint8Array(0);
const MAX_MARK_BYTES = 8192;
const value = Buffer.alloc(MAX_MARK_BYTES);

export const isOwn = (step: Step): step is OwnStep => (step.do === "add" || step.do === "replace") && step.marks !== undefined;

/** An upper layer whose objects can be renamed into the directory. */
export class MovableObjects {
  readonly #upper: LastDirectory;
  readonly #leaves: Leaves;
  readonly #isRoot = process.geteuid?.() === 0;
  readonly #parents = new Map<string, (ParentTimes & { isWritable: boolean }) | undefined>();

  constructor(upper: number, leaves: Leaves) {
    this.#upper = new LastDirectory(upper);
    this.#leaves = leaves;
  }

  /** The marks of an object that can leave the session as it is; undefined if it has to be copied. */
  marksOf(stack: LayerStack, path: string, { object, data, type }: Side): Mark[] | undefined {
    const { attr, listed, layer } = object;
    if (type === "directory" || layer !== 0 || object.path !== path || data.layer !== 0 || data.path !== path) return undefined;
    if (attr.nlink !== 1 || listed === undefined || isProtected(attr) || !this.#isWritableIn(path)) return undefined;
    // In a directory that hides the one of the base, the session goes on showing its own object.
    if (!this.#leaves.has(path)) return undefined;
    const { prefix } = stack.tree(object);
    const marks = listed.filter((name) => isMark(prefix, name));
    // The attribute gets another name in the directory.
    if (listed.some((name) => shownName(prefix, name) !== name)) return undefined;
    if (marks.length === 0) return [];
    // Any other mark says that the object is not the whole one. Marks of users are changed only by those who may write the file.
    if (marks.some((name) => name !== `${prefix}origin`)) return undefined;
    if (!this.#isRoot && (attr.mode & OWNER_WRITES) === 0) return undefined;
    const length = this.#upper.at(path, (directory, name) => native.getxattrat(directory, name, `${prefix}origin`, value));
    return length < 0 ? undefined : [[`${prefix}origin`, value.toString("base64", 0, length)]];
  }

  #isWritableIn(path: string): boolean {
    const parent = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    if (!this.#parents.has(parent)) {
      const attr = this.#upper.look(parent);
      const isWritable = this.#isRoot || ((attr?.mode ?? 0) & OWNER_WRITES_IN) === OWNER_WRITES_IN;
      const times = attr === undefined ? undefined : { path: parent, mtimeSec: attr.mtimeSec, mtimeNsec: attr.mtimeNsec, isWritable };
      this.#parents.set(parent, times);
    }
    return this.#parents.get(parent)?.isWritable === true;
  }

  close(): void {
    this.#upper.close();
  }

  /** The directories that objects leave, as they are before. */
  parents(): ParentTimes[] {
    return [...this.#parents.values()].flatMap((one) => {
      if (one === undefined) return [];
      const { path, mtimeSec, mtimeNsec } = one;
      return [{ path, mtimeSec, mtimeNsec }];
    });
  }
}

/** The places of these objects in the session: in the upper layer, or in the parts that left it. Nobody else changes either meanwhile. */
export class OwnPlaces {
  readonly #upper: LastDirectory;
  readonly #left: LastDirectory | undefined;
  /** The names of the parts by their paths. */
  readonly #parts = new Map<string, string>();
  readonly #attr = new Attr();

  /** @param left the directory of the parts that left, with their paths in the upper layer by their names */
  constructor(upper: number, left?: { fd: number; leaves: readonly string[] }) {
    this.#upper = new LastDirectory(upper);
    if (left === undefined) return;
    this.#left = new LastDirectory(left.fd);
    const names = readNames(left.fd);
    if (typeof names === "number") must(names, "", "the parts that left the session cannot be read");
    else for (const name of names) this.#parts.set(left.leaves[Number(name)] as string, name);
  }

  /** As `inDirectory`. */
  at(path: string, use: UseName): number {
    for (const part of this.#parts.size === 0 ? [] : [path, ...above(path)]) {
      const name = this.#parts.get(part);
      if (name !== undefined) return (this.#left as LastDirectory).at(name + path.slice(part.length), use);
    }
    return this.#upper.at(path, use);
  }

  /** Valid until the next call. @throws CliError */
  look(path: string): Attr | undefined {
    const status = this.at(path, (directory, name) => native.statx(directory, name, AT.SYMLINK_NOFOLLOW, this.#attr.words));
    if (status >= 0) return this.#attr;
    if ([-Errno.ENOENT, -Errno.ENOTDIR].includes(status)) return undefined;
    must(status, escapeName(path), "it cannot be read in the session");
    return undefined;
  }

  removeMarks({ path, marks }: OwnStep): void {
    for (const [mark] of marks) {
      const status = this.at(path, (directory, name) => native.removexattrat(directory, name, mark));
      if (status < 0) must(status, escapeName(path), "its marks cannot be removed");
    }
  }

  /** Can be repeated. */
  restoreMarks({ path, marks }: OwnStep): void {
    for (const [mark, base64] of marks) {
      const status = this.at(path, (directory, name) => {
        if (native.getxattrat(directory, name, mark, NOTHING) >= 0) return 0;
        return native.setxattrat(directory, name, mark, Buffer.from(base64, "base64"), 0);
      });
      if (status < 0) must(status, escapeName(path), "its marks cannot be set");
    }
  }

  close(): void {
    this.#upper.close();
    this.#left?.close();
  }
}

/** Best effort: the directories are the session's, and may be gone. */
export function restoreTimes(upper: number, parents: readonly ParentTimes[]): void {
  for (const { path, mtimeSec, mtimeNsec } of parents) {
    const times = { atimeSec: 0, atimeNsec: UTIME.OMIT, mtimeSec, mtimeNsec };
    inDirectory(upper, path, (directory, name) => native.utimensat(directory, name, times, AT.SYMLINK_NOFOLLOW));
  }
}
