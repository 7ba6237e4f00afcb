/**
 * Finds differences that would undo somebody else's change. The lower object is compared with the one that the session saw: the mount
 * recorded that before it replaced the object (packages/base-record). Without a record the times decide: an object is unchanged if its
 * ctime, which nobody can set back, lies before the birth of the upper layer; or, if the upper object is a copy of it, before the birth of
 * the copy.
 */
import { type BaseEntry, BaseRecords, identityIn } from "@sluice/base-record";
import { type Hit, isDirectory, isRegular, type LayerStack, readTarget, typeName, walkUppers } from "@sluice/layer-tools";
import { StatWord } from "@sluice/native";
import { type Attr, S } from "@sluice/vfs";
import { aspectsOf, digestOf } from "./aspects.js";
import type { Difference, Side } from "./difference.js";
import { changedAt, identityOf, NS, sealOf } from "./identity.js";
import { handleOf, originBelow } from "./origin.js";
import type { Differences } from "./walk-differences.js";

/** Of an id without a mapping. */
const NOBODY = 65_534;

/** 0 if the file system does not know it: then everything counts as changed since. */
function bornAt({ words }: Attr): bigint {
  const seconds = (BigInt(words[StatWord.btimeHi] as number) << 32n) | BigInt(words[StatWord.btimeLo] as number);
  return BigInt.asIntN(64, seconds) * NS + BigInt(words[StatWord.btimeNsec] as number);
}

/** Facts about a session besides its layers. */
export interface Known {
  /** The states that applies and their undoing gave to a path: they are not somebody else's change. */
  applied: ReadonlyMap<string, ReadonlySet<string>>;
  /** As `Earlier`: an object that came back is no change. */
  formsOf?: (path: string, attr: Attr) => readonly Attr[];
  /** So many names of each inode are kept for an undo: see `inodeKeyOf`. */
  keptNames?: ReadonlyMap<string, number>;
  records: BaseRecords;
  /** The number of the layer that shows the lower layer as the session saw it, if there is one. */
  snapshot?: number | undefined;
  /** In nanoseconds since 1970, if it was forked or merged: its upper layer is younger. */
  begun?: bigint | undefined;
  /** Somebody made another directory at the path of the base. */
  isOtherBase?: boolean | undefined;
}

export const NOTHING_KNOWN: Known = { applied: new Map(), records: new BaseRecords([]) };

/**
 * The forms that the record of a user's session may have of it. A host service knows both ids. In a user namespace the mount knows the session's
 * owner as root, and nobody else; it shows all groups of the owner's files as theirs, which earlier versions did not.
 */
function ownerForms({ uid, gid }: Attr): string[] {
  const user = uid === process.geteuid?.() ? 0 : NOBODY;
  const group = gid === process.getegid?.() ? 0 : NOBODY;
  return [`${uid}:${gid}`, `${user}:${group}`, `${user}:${user === 0 ? 0 : group}`];
}

class Judge {
  readonly #stack: LayerStack;
  readonly #begun: bigint;
  /** Otherwise a copy may be one of a copy, and says nothing of the time at which the first one was made. */
  readonly #copiesAreFirst: boolean;
  readonly #known: Known;
  readonly #isOfUser: boolean;
  readonly #moved: ReadonlySet<string>;
  readonly #list: readonly Difference[];
  #handles: Map<string, Hit> | undefined;

  constructor(stack: LayerStack, { list, moves }: Differences, known: Known) {
    this.#stack = stack;
    this.#list = list;
    this.#begun = known.begun ?? bornAt(stack.rootOf({ layer: stack.uppers - 1, path: "" }).attr);
    this.#copiesAreFirst = known.begun === undefined;
    this.#known = known;
    this.#isOfUser = stack.tree({ layer: 0, path: "" }).prefix === "user.overlay.";
    this.#moved = new Set(moves.map(({ to }) => to));
  }

  conflictOf(difference: Difference): string | undefined {
    const { path, before, after } = difference;
    if (before === undefined && this.#isOrphan(difference)) return "deleted underneath";
    // Without the directory of an addition only the place tells what it belongs to.
    if (before === undefined) return this.#known.isOtherBase === true ? "in another directory underneath" : undefined;
    if (this.#isExpected(path, before, after)) return undefined;
    const forms = this.#known.formsOf?.(path, before.object.attr) ?? [];
    const isExpected = forms.some((attr) => this.#isExpected(path, { ...before, object: { ...before.object, attr } }, after));
    return isExpected ? undefined : "changed underneath";
  }

  #isExpected(path: string, before: Side, after: Side | undefined): boolean {
    const applied = this.#known.applied.get(path);
    const { attr } = before.object;
    return applied?.has(identityOf(attr)) === true || applied?.has(sealOf(attr)) === true || this.#isUnchanged(before, after);
  }

  /** The object at a path of the snapshot. */
  #inSnapshot(layer: number, path: string): Side | undefined {
    const slash = path.lastIndexOf("/");
    const hit = this.#stack.look({ layer, path: path.slice(0, Math.max(0, slash)) }, path.slice(slash + 1));
    return hit === undefined || hit === "whiteout" ? undefined : { object: hit, data: hit, type: typeName(hit.attr) };
  }

  #isUnchanged(before: Side, after: Side | undefined): boolean {
    const { attr, path } = before.object;
    if (this.#known.snapshot !== undefined) {
      const seen = this.#inSnapshot(this.#known.snapshot, path);
      return seen !== undefined && aspectsOf(this.#stack, seen, before).length === 0;
    }
    const { records } = this.#known;
    const identity = identityIn(attr);
    const entry = records.at(path);
    if (entry !== undefined) return entry.identity === identity || this.#isSame(entry, before);
    return records.hasSeen(identity) || this.#isOld(before.object, after);
  }

  #isOwner(recorded: string, attr: Attr): boolean {
    return this.#isOfUser ? ownerForms(attr).includes(recorded) : recorded === `${attr.uid}:${attr.gid}`;
  }

  /** Somebody touched the object, gave it another name, or wrote the same bytes. Of a change of its attributes alone nothing else tells. */
  #isSame(entry: BaseEntry, { object, data }: Side): boolean {
    const { attr } = object;
    if (entry.mode !== attr.mode || !this.#isOwner(entry.owner, attr)) return false;
    if (isDirectory(attr)) return true;
    const explained = entry.links !== attr.nlink || entry.ino !== attr.ino || entry.modified !== `${attr.mtimeSec}.${attr.mtimeNsec}`;
    if (!explained || entry.size !== attr.size) return false;
    if ((attr.mode & S.IFMT) === S.IFLNK) return entry.target === readTarget(this.#stack, object);
    return isRegular(attr) && entry.content !== undefined && entry.content.digest === digestOf(this.#stack, data, attr.size);
  }

  #isOld({ attr, ...lower }: Hit, after: Side | undefined): boolean {
    const changed = changedAt(attr);
    if (changed < this.#begun) return true;
    // A new entry sets both times, and is a difference of its own.
    if (isDirectory(attr) && attr.ctimeSec === attr.mtimeSec && attr.ctimeNsec === attr.mtimeNsec) return true;
    if (after === undefined || !this.#stack.isUpper(after.object) || changed >= bornAt(after.object.attr)) return false;
    const handle = this.#copiesAreFirst ? handleOf(this.#stack, { attr, ...lower }) : undefined;
    return handle !== undefined && handle === originBelow(this.#stack, after.object);
  }

  /** All originals that are there by their handles, also those that a copy with the same bytes replaces. Few reviews ask for them. */
  #originals(): ReadonlyMap<string, Hit> {
    if (this.#handles !== undefined) return this.#handles;
    const originals = [...this.#list.map(({ before }) => before?.object), ...Array.from(walkUppers(this.#stack), ({ before }) => before)];
    this.#handles = new Map();
    for (const original of originals) {
      const handle = original === undefined ? undefined : handleOf(this.#stack, original);
      if (handle !== undefined) this.#handles.set(handle, original as Hit);
    }
    return this.#handles;
  }

  /**
   * A copy whose original exists no longer, neither at its path nor under a new name; or one that has several names and no longer this one.
   * The session may have moved the copy, and made another file at its path.
   */
  #isOrphan({ path, after, from }: Difference): boolean {
    if (after === undefined || !this.#stack.isUpper(after.object) || from !== undefined || this.#moved.has(path)) return false;
    const recorded = after.type !== "directory" && after.object.attr.nlink > 1 ? this.#known.records.at(path) : undefined;
    if (after.type !== "directory" && after.object.attr.nlink > 1 && recorded === undefined) return false;
    const origin = originBelow(this.#stack, after.object);
    if (origin === undefined) return false;
    const original = this.#originals().get(origin);
    // The session may have linked another file there, which has no other name at this path.
    return original === undefined || (recorded !== undefined && recorded.ino === original.attr.ino);
  }
}

/** Notes the conflict of each difference. The renames have been found. */
export function findConflicts(stack: LayerStack, differences: Differences, known: Known): void {
  const judge = new Judge(stack, differences, known);
  for (const difference of differences.list) {
    const conflict = judge.conflictOf(difference);
    if (conflict !== undefined) difference.conflict = conflict;
  }
}
