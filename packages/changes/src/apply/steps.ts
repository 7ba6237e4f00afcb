/**
 * The steps of an apply, one system call each, and their reverse. Every step is checked before and after: the object that it takes away
 * must be the one that was reviewed, whoever changes the directory meanwhile. Paths are resolved beneath the base, through no link.
 */
import { asWriter, type Furniture, furnish, type Hit, isDirectory, type LayerStack, OWNER_WRITES, readXattrs } from "@sluice/layer-tools";
import { inDirectory, native, openBeneath, readNames, StatWord } from "@sluice/native";
import { escapeName, failed, unfit } from "@sluice/runtime/cli";
import { AT, Attr, Errno, errnoName, O, RENAME, S } from "@sluice/vfs";
import { contentStateOf, sameIdentity, sealOf } from "../identity.js";
import { look } from "./place.js";
import { isOwn, type OwnPlaces } from "./own-objects.js";
import type { Inode, Made, Metadata, OwnStep, Reviewed, Step } from "./record.js";

type MovingStep = Extract<Step, { slot: number }>;

const OWNER_RWX = 0o700;
const SET_IDS = S.ISUID | S.ISGID;
const GROUP_RWX = 0o070;
/** The kernel changes the others by itself: an access list with the mode, and capabilities with the owner. */
const OF_PROGRAMS = /^(?:user|trusted)\./;
const MAX_VALUE_BYTES = 65_536;
const room = Buffer.alloc(MAX_VALUE_BYTES);
/** Somebody made, removed or replaced the name, or a directory above it. */
const TAKEN_OR_GONE: readonly number[] = [Errno.ESTALE, Errno.EEXIST, Errno.ENOENT, Errno.ENOTDIR, Errno.ENOTEMPTY, Errno.ELOOP];

/** The owner may not write in a directory, or it belongs to another quota: the object is copied. */
const NOT_MOVABLE: readonly number[] = [Errno.EACCES, Errno.EPERM, Errno.EXDEV];
/** The session has a newer object there, or no such directory. */
const NO_ROOM: readonly number[] = [Errno.EEXIST, Errno.ENOENT, Errno.ENOTDIR, Errno.ELOOP];

/** The disk fails, is full, or became read-only. */
const FAULTS: readonly number[] = [Errno.EIO, Errno.ENOSPC, Errno.EDQUOT, Errno.EROFS];
/** Somebody closed or protected the directory. */
const REFUSALS: readonly number[] = [Errno.EACCES, Errno.EPERM];

const flagsOf = (step: OwnStep): number => (step.do === "add" ? RENAME.NOREPLACE : RENAME.EXCHANGE);

export const inodeOf = ({ words, ino }: Attr): Inode => ({
  device: `${words[StatWord.devMajor]}:${words[StatWord.devMinor]}`,
  ino,
  born: `${words[StatWord.btimeHi]}:${words[StatWord.btimeLo]}.${words[StatWord.btimeNsec]}`,
});

/** The inode of an object of the directory. */
export const lowerInodeOf = (attr: Attr, ofOverlay: boolean): Inode => ({ ...inodeOf(attr), ...(ofOverlay ? { born: "" } : {}) });

const keyOf = ({ device, ino, born }: Inode): string => `${device} ${ino} ${born}`;

/** The device may have got another number since, at a start of the machine. A stand-in counts as the object. */
export function isInode(attr: Attr | undefined, { ino, born, standIn }: Inode & Pick<Reviewed, "standIn">): attr is Attr {
  if (attr?.ino === ino && (born === "" || inodeOf(attr).born === born)) return true;
  return standIn !== undefined && isInode(attr, standIn);
}

export function metadataOf(stack: LayerStack, object: Hit): Metadata {
  const { mode, uid, gid, atimeSec, atimeNsec, mtimeSec, mtimeNsec } = object.attr;
  const attributes = readXattrs(stack, object, { isPlain: true }).map(([name, value]): [string, string] => [
    name,
    value.toString("base64"),
  ]);
  return { mode, uid, gid, atimeSec, atimeNsec, mtimeSec, mtimeNsec, attributes, areAll: true };
}

function changed(path: string): Error {
  return unfit(escapeName(path), "it changed while the changes were applied (ESTALE): nothing was applied", "review and apply again");
}

export class Steps {
  readonly #base: number;
  /** -1 if they are gone already. */
  readonly #slots: number;
  readonly #moved = new Set<string>();
  /** Objects that got other metadata by one of their names. */
  readonly #furnished = new Set<string>();
  /** The paths of objects whose metadata a step began to change. */
  readonly touched = new Set<string>();
  readonly #inSlot = new Attr();
  readonly #here = new Attr();
  readonly #own: OwnPlaces;
  readonly #inBase: boolean;
  /** The states of objects that left the session, as they came into the directory. */
  readonly seals = new Map<string, string>();
  /** Of reversed steps: the session has newer objects at these paths. */
  readonly newer: string[] = [];
  /** Of reversed steps: somebody removed the objects that they took away. */
  readonly lost: string[] = [];
  /** Of reversed steps: objects that keep the group of an apply, since only root can give them their former one. */
  readonly regrouped: string[] = [];

  /** `linked`: objects of the base that have got another name in a slot. `inBase`: somebody may have removed objects from the slots. */
  constructor(
    base: number,
    slots: number,
    { own, linked = [], inBase = false }: { own: OwnPlaces; linked?: readonly Inode[]; inBase?: boolean },
  ) {
    for (const inode of linked) this.#moved.add(keyOf(inode));
    this.#base = base;
    this.#slots = slots;
    this.#own = own;
    this.#inBase = inBase;
  }

  #rename(step: MovingStep, out: boolean, flags: number): number {
    const slot = String(step.slot);
    return inDirectory(this.#base, step.path, (directory, name) =>
      out ? native.renameat2(directory, name, this.#slots, slot, flags) : native.renameat2(this.#slots, slot, directory, name, flags),
    );
  }

  /** Valid until the next call. */
  #slot(step: MovingStep): Attr | undefined {
    return this.#slots < 0 ? undefined : look(this.#slots, String(step.slot), this.#inSlot);
  }

  /**
   * `reviewed`: the attributes of the object that the step takes away, if it does.
   * @returns false if the object cannot leave the session, or the directory, as it is. @throws CliError
   */
  run(step: MovingStep, reviewed: Attr | undefined): boolean {
    if (isOwn(step)) return this.#runOwn(step, reviewed);
    if (step.do === "add") return this.#checked(step, this.#rename(step, false, RENAME.NOREPLACE));
    const take = (directory: number, name: string): number => {
      if (!this.#isReviewed(step, look(directory, name, this.#here), reviewed as Attr)) return -Errno.ESTALE;
      const slot = String(step.slot);
      if (step.do === "replace") return native.renameat2(this.#slots, slot, directory, name, RENAME.EXCHANGE);
      if (step.before.standIn !== undefined) return native.unlinkat(directory, name, AT.REMOVEDIR);
      return native.renameat2(directory, name, this.#slots, slot, RENAME.NOREPLACE);
    };
    const status = inDirectory(this.#base, step.path, take);
    // An overlay moves no directory of its lower layers, unless it has redirect_dir=on.
    if (status === -Errno.EXDEV && step.do === "remove" && step.directory) return false;
    this.#checked(step, status);
    const kept = this.#slot(step);
    if (!isInode(kept, step.before) || (isDirectory(kept) && !this.#isEmpty(step))) throw changed(step.path);
    return true;
  }

  #runOwn(step: OwnStep, reviewed: Attr | undefined): boolean {
    const { path } = step;
    this.#own.removeMarks(step);
    const status = inDirectory(this.#base, path, (directory, name) => {
      if (step.do === "replace" && !this.#isReviewed(step, look(directory, name, this.#here), reviewed as Attr)) return -Errno.ESTALE;
      const moved = this.#own.at(path, (from, last) => native.renameat2(from, last, directory, name, flagsOf(step)));
      if (moved < 0) return moved;
      const now = look(directory, name, this.#here);
      if (isInode(now, step.after)) this.seals.set(path, sealOf(now));
      else this.#own.at(path, (into, last) => native.renameat2(directory, name, into, last, flagsOf(step)));
      return this.seals.has(path) ? 0 : -Errno.ESTALE;
    });
    if (NOT_MOVABLE.includes(-status)) {
      this.#own.restoreMarks(step);
      return false;
    }
    this.#checked(step, status);
    if (step.do === "replace" && !isInode(this.#own.look(path), step.before)) throw changed(path);
    return true;
  }

  /** Entries of a directory have steps of their own. A step with one name of a file changes the ctime of its other names. */
  #isReviewed({ before }: Extract<MovingStep, { before: Inode }>, here: Attr | undefined, reviewed: Attr): boolean {
    if (!isInode(here, before)) return false;
    if (isDirectory(here)) return true;
    const key = here.nlink > 1 ? keyOf(before) : "";
    const moved = this.#moved.has(key);
    if (key !== "") this.#moved.add(key);
    return moved ? contentStateOf(here) === contentStateOf(reviewed) : sameIdentity(here, reviewed);
  }

  #checked({ path }: Step, status: number): true {
    if (status >= 0) return true;
    if (TAKEN_OR_GONE.includes(-status)) throw changed(path);
    const remedy = FAULTS.includes(-status) ? "check its disk, and the room on it" : "check the permissions of its directory";
    throw failed(escapeName(path), `it cannot be changed (${errnoName(-status)}): nothing was applied`, remedy);
  }

  /** Somebody may have put a file into a directory that was to be removed. */
  #isEmpty(step: MovingStep): boolean {
    const fd = openBeneath(this.#slots, String(step.slot), O.RDONLY | O.DIRECTORY, 0);
    const names = fd < 0 ? fd : readNames(fd);
    if (fd >= 0) native.close(fd);
    return typeof names !== "number" && names.length === 0;
  }

  /** Runs `use` on an O_PATH descriptor of the very inode. @throws CliError if it lies there no longer */
  onInode(path: string, inode: Inode, use: (fd: number, attr: Attr) => void): true {
    if (!this.#tryOnInode(path, inode, use)) throw changed(path);
    return true;
  }

  #tryOnInode(path: string, inode: Inode, use: (fd: number, attr: Attr) => void): boolean {
    const fd = openBeneath(this.#base, path, O.PATH | O.NOFOLLOW, 0);
    if (fd < 0) return false;
    try {
      const attr = new Attr();
      const is = native.statx(fd, "", AT.EMPTY_PATH, attr.words) >= 0 && isInode(attr, inode);
      if (is) use(fd, attr);
      return is;
    } finally {
      native.close(fd);
    }
  }

  /** The owner may take entries out of a directory without write permission only after a chmod. */
  openUp(path: string, inode: Inode, mode: number): true {
    if ((mode & OWNER_RWX) === OWNER_RWX) return true;
    this.touched.add(path);
    return this.onInode(path, inode, (fd) => native.fchmodat(fd, "", (mode & 0o7777) | OWNER_RWX, AT.EMPTY_PATH));
  }

  furnish(step: { path: string; inode: Inode }, furniture: Furniture): true {
    return this.onInode(step.path, step.inode, (fd) => furnish(furniture, fd));
  }

  /** Gives an object that stays other metadata, if it is as it was at the review. @throws CliError */
  furnishReviewed(step: { path: string; inode: Inode }, furniture: Furniture, reviewed: Attr): true {
    return this.onInode(step.path, step.inode, (fd, here) => {
      if (!this.#hasReviewedMetadata(step.inode, here, reviewed)) throw changed(step.path);
      this.touched.add(step.path);
      furnish(furniture, fd);
    });
  }

  #hasReviewedMetadata(inode: Inode, here: Attr, reviewed: Attr): boolean {
    const key = keyOf(inode);
    if (this.#furnished.has(key)) return true;
    this.#furnished.add(key);
    return isDirectory(here) || this.#moved.has(key) ? contentStateOf(here) === contentStateOf(reviewed) : sameIdentity(here, reviewed);
  }

  /** Lets its owner, who is the caller, change the entries of a new directory: they go again. */
  openNew(step: Step): void {
    if ((step.do !== "add" && step.do !== "replace") || !step.directory) return;
    this.#tryOnInode(step.path, step.after, (fd) => native.fchmodat(fd, "", OWNER_RWX, AT.EMPTY_PATH));
  }

  /** Reverses a step, if it was done. @returns the path if it cannot be reversed, because somebody changed it since */
  reverse(step: Step): string | undefined {
    if (step.do === "furnish") {
      let status = 0;
      this.#tryOnInode(step.path, step.before, (fd, here) => {
        if (!isOurs(here, step)) return;
        status = restore(fd, here, step);
        if (status >= 0 && !isOfGroup(fd, step.old.gid)) this.regrouped.push(step.path);
      });
      reversed(step, status);
      return undefined;
    }
    if (isOwn(step)) return this.#reverseOwn(step);
    const here = look(this.#base, step.path);
    const kept = this.#slot(step);
    if (this.#inBase && kept === undefined && isTaken(step, here)) {
      this.lost.push(step.path);
      return undefined;
    }
    if (step.do !== "remove" && isEdited(here, step.after)) return step.path;
    let status = 0;
    if (step.do === "add" && isInode(here, step.after)) status = this.#rename(step, true, RENAME.NOREPLACE);
    else if (step.do === "remove" && kept !== undefined && !isInode(here, step.before))
      status = this.#rename(step, false, RENAME.NOREPLACE);
    else if (step.do === "replace" && isInode(here, step.after)) status = this.#rename(step, false, RENAME.EXCHANGE);
    else if (step.do === "replace" && isInode(kept, step.before)) return step.path;
    return !reversed(step, status) || this.#holdsMore(step) ? step.path : undefined;
  }

  /** An entry of a new directory could not be moved away, or somebody made one: the directory returns with it, since the slots will go. */
  #holdsMore(step: MovingStep): boolean {
    if (step.do === "remove" || !step.directory || !isInode(this.#slot(step), step.after) || this.#isEmpty(step)) return false;
    this.#rename(step, false, step.do === "add" ? RENAME.NOREPLACE : RENAME.EXCHANGE);
    return true;
  }

  #reverseOwn(step: OwnStep): string | undefined {
    const { path } = step;
    const isHere = isInode(look(this.#base, path, this.#here), step.after);
    if (isHere && isEdited(this.#here, step.after)) return path;
    // The session has the old object if, and only if, the directory has the new one.
    if (step.do === "replace" && isHere !== isInode(this.#own.look(path), step.before)) return path;
    if (isHere && !reversed(step, this.#bringBack(step))) return path;
    if (isInode(this.#own.look(path), step.after)) this.#own.restoreMarks(step);
    return undefined;
  }

  #bringBack(step: OwnStep): number {
    const { path } = step;
    const status = inDirectory(this.#base, path, (directory, name) =>
      this.#own.at(path, (into, last) => native.renameat2(directory, name, into, last, flagsOf(step))),
    );
    if (step.do === "replace" || !NO_ROOM.includes(-status)) return status;
    this.newer.push(path);
    return this.#rename(step, true, RENAME.NOREPLACE);
  }
}

/** Whether the step took an object away that has not returned. */
function isTaken(step: MovingStep, here: Attr | undefined): boolean {
  return step.do === "remove" ? here === undefined : step.do === "replace" && isInode(here, step.after);
}

/** Somebody changed a new file after it had got its place. Otherwise it goes to the session or with the slots, and a change of it, too. */
function isEdited(here: Attr | undefined, after: Made): boolean {
  return after.state !== undefined && isInode(here, after) && contentStateOf(here) !== after.state;
}

/**
 * False: somebody gave the object an owner or a mode that no step gives it. A change of the owner takes setuid and setgid, and one of an attribute
 * may open the object for a moment.
 */
function isOurs({ mode, uid, gid }: Attr, { old, now }: Extract<Step, { do: "furnish" }>): boolean {
  if (now === undefined) return true;
  const bits = now.acl === true ? ~GROUP_RWX : ~0;
  const known = [old.mode, now.mode].flatMap((one) => [one, one & ~SET_IDS]).flatMap((one) => [one, one | OWNER_WRITES]);
  const isMode = known.some((one) => ((one ^ mode) & bits) === 0);
  return isMode && [old.uid, now.uid].includes(uid) && [old.gid, now.gid].includes(gid);
}

/** False: somebody has changed the place. @throws CliError if the machine refuses the call: the next command tries again */
function reversed({ path }: Step, status: number): boolean {
  if (status >= 0) return true;
  if (![...FAULTS, ...REFUSALS].includes(-status)) return false;
  const remedy = REFUSALS.includes(-status) ? "let its directory be written (chmod u+w, chattr -ia)" : "check its disk";
  throw failed(escapeName(path), `it cannot be restored (${errnoName(-status)})`, `${remedy}, and run the command again`);
}

/** A user may leave the group of an object, and cannot give it back then. Whatever else was refused is refused again by a later call. */
function restoreOwner(fd: number, { uid }: Attr, old: Metadata): number {
  const status = native.fchownat(fd, "", old.uid, old.gid, AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW);
  return status === -Errno.EPERM && uid === old.uid ? 0 : status;
}

function isOfGroup(fd: number, gid: number): boolean {
  const now = new Attr();
  return native.statx(fd, "", AT.EMPTY_PATH, now.words) < 0 || now.gid === gid;
}

/** In base64; undefined if the object has no such attribute. */
function valueOf(fd: number, name: string): string | undefined {
  const length = native.getxattrat(fd, "", name, room);
  return length < 0 ? undefined : room.toString("base64", 0, length);
}

/** False: somebody has written the object since, and its time has to tell. */
function isOurTime({ mtimeSec, mtimeNsec }: Attr, { old, now }: Extract<Step, { do: "furnish" }>): boolean {
  return now?.mtimeSec === undefined || [old, now].some((one) => one.mtimeSec === mtimeSec && one.mtimeNsec === mtimeNsec);
}

/**
 * The attributes of an object as they were, without those that somebody else has set or removed since. Best effort: each of them was readable,
 * and is its owner's to set. @returns the negative errno of the first call that failed
 */
function restore(fd: number, attr: Attr, step: Extract<Step, { do: "furnish" }>): number {
  const { old, now } = step;
  const list = Buffer.alloc(65_536);
  const here = AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW;
  const given = now?.attributes === undefined ? undefined : new Map(now.attributes);
  const isTheirs = (name: string): boolean => {
    if (given === undefined || !OF_PROGRAMS.test(name)) return false;
    const value = valueOf(fd, name);
    return value !== wanted.get(name) && value !== given.get(name);
  };
  const results = [restoreOwner(fd, attr, old)];
  const wanted = new Map(old.attributes);
  const kept = old.areAll === true ? /^security\./ : /^(?:trusted\.overlay|user\.overlay|security)\./;
  const length = Math.max(0, native.listxattrat(fd, "", list));
  for (const name of list.toString("latin1", 0, length).split("\0")) {
    if (name !== "" && !wanted.has(name) && !kept.test(name) && !isTheirs(name))
      results.push(asWriter(fd, () => native.removexattrat(fd, "", name)));
  }
  for (const [name, value] of wanted) {
    if (!isTheirs(name)) results.push(asWriter(fd, () => native.setxattrat(fd, "", name, Buffer.from(value, "base64"), 0)));
  }
  if ((old.mode & S.IFMT) !== S.IFLNK) results.push(native.fchmodat(fd, "", old.mode & 0o7777, AT.EMPTY_PATH));
  if (isOurTime(attr, step)) results.push(native.utimensat(fd, "", old, here));
  return results.find((result) => result < 0) ?? 0;
}
