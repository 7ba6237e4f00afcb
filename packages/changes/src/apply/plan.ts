/** The steps of an apply in their order, and the new objects in their slots. */
import { writeFileSync } from "node:fs";
import { type Hit, isDirectory, type LayerStack, furnish, type Furniture, makeObject, readXattrs } from "@sluice/layer-tools";
import { inDirectory, native } from "@sluice/native";
import { ACCESS_ACL, AT, Attr, O, UTIME } from "@sluice/vfs";
import { attributesOf, hidesSome } from "../attributes.js";
import type { Difference, OnProgress, Side } from "../difference.js";
import { changedAt, contentStateOf, inodeKeyOf } from "../identity.js";
import { changedInPlace } from "./changed-in-place.js";
import type { MovableObjects } from "./own-objects.js";
import { must } from "./place.js";
import type { Inode, Made, Reviewed, Step } from "./record.js";
import { inodeOf, isInode, lowerInodeOf, metadataOf, type Steps } from "./steps.js";

/** A step, and the call that runs it. */
export interface Planned {
  step: Step;
  /** @returns false if the object cannot move as it is */
  run(steps: Steps): boolean;
  /** Only of an object that is to leave the session as it is, and of a directory that is removed: copies it, if it cannot. */
  copy?(): Promise<void> | void;
}

export interface PlanOptions {
  merged?: ReadonlySet<Difference> | undefined;
  /** So many names of each inode are kept for an undo: see `inodeKeyOf`. */
  kept: ReadonlyMap<string, number>;
  /** As in `Differences`, and the directory that they lie in. */
  unchanged: ReadonlyMap<string, readonly Hit[]>;
  base: number;
  /** As `isOfOverlay`. */
  ofOverlay: boolean;
  /** Undefined if the upper layer and the directory do not lie on one mount. */
  movable: MovableObjects | undefined;
}

const PRIVATE = 0o700;
const MODE_BITS = 0o7777;
/** A merge is newer than both of its sides: a build has to see that. */
const JUST_NOW = { atimeSec: 0, atimeNsec: UTIME.NOW, mtimeSec: 0, mtimeNsec: UTIME.NOW };

/** The lower object of a difference. */
interface Old {
  path: string;
  side: Side;
  reviewed: Reviewed;
}

/** The object of a difference as it will be. */
interface New {
  path: string;
  old: Old | undefined;
  after: Side;
  /** In place of the session's. */
  content: Buffer | undefined;
}

export function reviewed({ object: { attr } }: Side, { conflict }: Difference, ofOverlay: boolean): Reviewed {
  const state = contentStateOf(attr);
  return { ...lowerInodeOf(attr, ofOverlay), state: conflict === undefined ? state : undefined, seen: [String(changedAt(attr)), state] };
}

const madeOf = (attr: Attr): Made => ({ ...inodeOf(attr), state: contentStateOf(attr) });

/** Its owner cannot take entries out of it, nor move it elsewhere. */
const isClosed = ({ object: { attr } }: Side): boolean => isDirectory(attr) && (attr.mode & PRIVATE) !== PRIVATE;

/** Makes the new objects of an apply; names of one file stay names of one file. */
export class Plan {
  readonly #stack: LayerStack;
  readonly #slots: number;
  readonly #linked = new Map<string, number>();
  readonly #merged: ReadonlySet<Difference>;
  readonly #movable: MovableObjects | undefined;
  readonly #base: number;
  readonly #ofOverlay: boolean;
  readonly #kept: PlanOptions["kept"];
  /** Names in the directory that stay, by the inode of the session's file: a further name of it becomes one of theirs. */
  readonly #staying: Map<string, readonly Hit[]>;
  /** Objects of the directory that got another name, which changes their ctime. */
  readonly linked: Inode[] = [];
  #next = 0;

  constructor(stack: LayerStack, slots: number, { merged = new Set(), movable, unchanged, base, ofOverlay, kept }: PlanOptions) {
    this.#stack = stack;
    this.#slots = slots;
    this.#merged = merged;
    this.#movable = movable;
    this.#base = base;
    this.#ofOverlay = ofOverlay;
    this.#kept = kept;
    this.#staying = new Map(unchanged);
  }

  /** Removals first, entries before their directory; then the rest, a directory before its entries; then directories get their metadata. */
  async make(chosen: readonly Difference[], onProgress: OnProgress): Promise<Planned[]> {
    const opened: Planned[] = [];
    const removed: Planned[] = [];
    const others: Planned[] = [];
    const last: Planned[] = [];
    const inPlace = changedInPlace(this.#stack, chosen, this.#kept);
    for (const { before, after } of inPlace) this.#noteStaying(before as Side, after as Side);
    for (const [index, one] of chosen.entries()) {
      onProgress(index);
      const { path, before, after } = one;
      const old = before === undefined ? undefined : { path, side: before, reviewed: reviewed(before, one, this.#ofOverlay) };
      if (old !== undefined && after?.type !== "directory" && isClosed(old.side)) opened.push(this.#open(old));
      if (after === undefined) removed.push(this.#remove(old as Old));
      else if (inPlace.has(one)) others.push(this.#metadata(old as Old, after));
      else {
        if (old !== undefined && this.#isFreedBefore(old.side)) removed.push(this.#remove(old));
        const merge = this.#merged.has(one) ? one.merge : undefined;
        others.push(await this.#put({ path, old, after, content: merge?.content }, last));
      }
    }
    return [...opened, ...removed.reverse(), ...others, ...last.reverse()];
  }

  /** A directory of a lower layer may change places with nothing. */
  #isFreedBefore({ type }: Side): boolean {
    return this.#ofOverlay && type === "directory";
  }

  /** It gets other metadata, with all its names. */
  #noteStaying({ object }: Side, after: Side): void {
    if (isDirectory(object.attr) || after.object.attr.nlink < 2) return;
    const key = inodeKeyOf(after.object.attr);
    this.#staying.set(key, [...(this.#staying.get(key) ?? []), object]);
  }

  #open({ path, side: { object }, reviewed: before }: Old): Planned {
    const old = metadataOf(this.#stack, object);
    const step: Step = { do: "furnish", path, before, old, now: { ...old, mode: old.mode | PRIVATE } };
    return { step, run: (steps) => steps.openUp(path, before, old.mode) };
  }

  #furniture(path: string, object: Hit, before: Side | undefined): Furniture {
    const { prefix } = this.#stack.tree(object);
    return { path, attr: object.attr, attributes: attributesOf(this.#stack, object, before?.object), marks: prefix };
  }

  #remove({ path, side, reviewed: before }: Old): Planned {
    const step: Step = { do: "remove", path, slot: this.#next++, before, directory: side.type === "directory" };
    const planned: Planned = { step, run: (steps) => steps.run(step, side.object.attr) };
    if (step.directory) planned.copy = () => void (before.standIn = this.#standIn(path, side, step.slot));
    return planned;
  }

  /** Makes an empty directory in the slot, with the metadata of another one and open to its owner. */
  #standIn(path: string, { object }: Side, slot: number): Inode {
    const name = String(slot);
    must(native.mkdirat(this.#slots, name, PRIVATE), path, "its copy cannot be made");
    const fd = must(
      native.openat(this.#slots, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC, 0),
      path,
      "its copy cannot be opened",
    );
    try {
      const attributes = readXattrs(this.#stack, object, { isPlain: true });
      furnish({ path, attr: object.attr, attributes, marks: this.#stack.tree(object).prefix }, fd);
      must(native.fchmodat(fd, "", (object.attr.mode & MODE_BITS) | PRIVATE, AT.EMPTY_PATH), path, "its mode cannot be set");
      const made = new Attr();
      must(native.statx(fd, "", AT.EMPTY_PATH, made.words), path, "its copy cannot be read");
      return lowerInodeOf(made, this.#ofOverlay);
    } finally {
      native.close(fd);
    }
  }

  #metadata({ path, side, reviewed: before }: Old, after: Side): Planned {
    const { mode, uid, gid, mtimeSec, mtimeNsec } = after.object.attr;
    const [old, furniture] = [metadataOf(this.#stack, side.object), this.#furniture(path, after.object, side)];
    const acl = [...old.attributes, ...furniture.attributes].some(([name]) => name === ACCESS_ACL);
    const attributes = furniture.attributes.map(([name, value]): [string, string] => [name, value.toString("base64")]);
    const now = { mode, uid, gid, acl, attributes, mtimeSec, mtimeNsec };
    const step: Step = { do: "furnish", path, before, old, now };
    return { step, run: (steps) => steps.furnishReviewed({ path, inode: before }, furniture, side.object.attr) };
  }

  async #put({ path, old, after, content }: New, last: Planned[]): Promise<Planned> {
    const slot = this.#next++;
    const takesDirectory = old?.side.type === "directory";
    const isOther = content !== undefined || (old !== undefined && hidesSome(this.#stack, after.object, old.side.object));
    const marks = isOther || takesDirectory ? undefined : this.#movable?.marksOf(this.#stack, path, after);
    const inode = marks === undefined ? await this.#copy({ path, old, after, content }, slot) : madeOf(after.object.attr);
    const directory = after.type === "directory";
    const put = { path, slot, after: inode, directory };
    const step: Extract<Step, { do: "add" | "replace" }> =
      old === undefined || this.#isFreedBefore(old.side) ? { do: "add", ...put } : { do: "replace", before: old.reviewed, ...put };
    const run = (steps: Steps): boolean => steps.run(step, old?.side.object.attr);
    if (marks !== undefined) {
      step.marks = marks;
      const copy = async (): Promise<void> => {
        delete step.marks;
        step.after = await this.#copy({ path, old, after, content }, slot);
      };
      return { step, run, copy };
    }
    // Its new entries change its times, and its mode may forbid them.
    if (directory) {
      const furniture = this.#furniture(path, after.object, old?.side);
      last.push({ step, run: (steps) => steps.furnish({ path, inode }, furniture) });
    }
    return { step, run };
  }

  async #copy(object: New, slot: number): Promise<Made> {
    const isCopy = await this.#stage(object, slot);
    const made = new Attr();
    must(native.statx(this.#slots, String(slot), AT.SYMLINK_NOFOLLOW, made.words), object.path, "its copy cannot be read");
    return isCopy ? madeOf(made) : inodeOf(made);
  }

  /** @returns whether it is a file that nobody has elsewhere, and that is complete */
  async #stage({ path, old, after: { object, data, type }, content }: New, slot: number): Promise<boolean> {
    const name = String(slot);
    if (type === "directory") {
      must(native.mkdirat(this.#slots, name, PRIVATE), path, "its copy cannot be made");
      return false;
    }
    const key = inodeKeyOf(object.attr);
    const first = object.attr.nlink > 1 ? this.#linked.get(key) : undefined;
    if (first !== undefined) {
      must(native.linkat(this.#slots, String(first), this.#slots, name, 0), path, "its copy cannot be linked");
      return !this.linked.some(({ ino }) => ino === this.#inoOf(name));
    }
    this.#linked.set(key, slot);
    if (object.attr.nlink > 1 && content === undefined && this.#linkStaying(this.#namesOf(key, object), name)) return false;
    await makeObject({ stack: this.#stack, path, object }, data, { directory: this.#slots, name });
    if (content !== undefined) this.#replaceContent(path, name, content);
    // Attributes of an O_PATH descriptor are listed by its name in /proc, which takes longer.
    const flags = type === "regular" ? O.RDONLY : O.PATH;
    const fd = must(native.openat(this.#slots, name, flags | O.NOFOLLOW | O.CLOEXEC, 0), path, "its copy cannot be opened");
    try {
      furnish(this.#furniture(path, object, old?.side), fd);
      if (content !== undefined) must(native.utimensat(fd, "", JUST_NOW, AT.EMPTY_PATH), path, "its times cannot be set");
      return true;
    } finally {
      native.close(fd);
    }
  }

  #inoOf(slot: string): number | undefined {
    const attr = new Attr();
    return native.statx(this.#slots, slot, AT.SYMLINK_NOFOLLOW, attr.words) < 0 ? undefined : attr.ino;
  }

  /** Names in the directory that become names of this file: an object that moves with its directory keeps those that it has elsewhere. */
  #namesOf(key: string, object: Hit): readonly Hit[] {
    const staying = this.#staying.get(key) ?? [];
    return this.#stack.isUpper(object) ? staying : [...staying, object];
  }

  /** @returns false if there is none, or the user may not link it: then the file is copied */
  #linkStaying(names: readonly Hit[], slot: string): boolean {
    return names.some(({ path, attr }) => {
      const status = inDirectory(this.#base, path, (directory, name) => native.linkat(directory, name, this.#slots, slot, 0));
      if (status < 0) return false;
      const made = new Attr();
      const inode = lowerInodeOf(attr, this.#ofOverlay);
      native.statx(this.#slots, slot, AT.SYMLINK_NOFOLLOW, made.words);
      if (isInode(made, inode) && contentStateOf(made) === contentStateOf(attr)) {
        this.linked.push(inode);
        return true;
      }
      must(native.unlinkat(this.#slots, slot, 0), path, "a link cannot be removed");
      return false;
    });
  }

  #replaceContent(path: string, name: string, content: Buffer): void {
    const fd = must(native.openat(this.#slots, name, O.WRONLY | O.TRUNC | O.NOFOLLOW | O.CLOEXEC, 0), path, "its copy cannot be opened");
    try {
      writeFileSync(fd, content);
    } finally {
      native.close(fd);
    }
  }
}
