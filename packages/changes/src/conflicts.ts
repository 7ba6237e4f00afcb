/**
 * Finds differences that would undo somebody else's change: the lower object changed after the upper layer had been begun, or after its
 * copy had been made. A change of any kind sets ctime, which nobody can set back. So an object is unchanged if its ctime lies before the
 * birth of the upper layer; or, if the upper object is a copy of it, before the birth of the copy. The clock of the file system must not
 * have been set back meanwhile.
 */
import { type Hit, isDirectory, type LayerStack } from "@sluice/layer-tools";
import { StatWord } from "@sluice/native";
import type { Attr } from "@sluice/vfs";
import type { Difference, Side } from "./difference.js";
import { changedAt, identityOf, NS } from "./identity.js";
import { handleOf, originOf } from "./origin.js";
import type { Differences } from "./walk-differences.js";

/** 0 if the file system does not know it: then everything counts as changed since. */
function bornAt({ words }: Attr): bigint {
  const seconds = (BigInt(words[StatWord.btimeHi] as number) << 32n) | BigInt(words[StatWord.btimeLo] as number);
  return BigInt.asIntN(64, seconds) * NS + BigInt(words[StatWord.btimeNsec] as number);
}

class Judge {
  readonly #stack: LayerStack;
  readonly #begun: bigint;
  /** The states that applies and their undoing gave to a path. */
  readonly #applied: ReadonlyMap<string, ReadonlySet<string>>;
  readonly #moved: ReadonlySet<string>;

  constructor(stack: LayerStack, moved: ReadonlySet<string>, applied: ReadonlyMap<string, ReadonlySet<string>>) {
    this.#stack = stack;
    this.#begun = bornAt(stack.rootOf({ layer: 0, path: "" }).attr);
    this.#applied = applied;
    this.#moved = moved;
  }

  conflictOf(difference: Difference): string | undefined {
    const { path, before, after } = difference;
    if (before === undefined) return this.#isOrphan(difference) ? "deleted underneath" : undefined;
    if (this.#isUnchanged(before.object, after) || this.#applied.get(path)?.has(identityOf(before.object.attr)) === true) return undefined;
    return "changed underneath";
  }

  #isUnchanged({ attr, ...lower }: Hit, after: Side | undefined): boolean {
    const changed = changedAt(attr);
    if (changed < this.#begun) return true;
    // A new entry sets both times, and is a difference of its own.
    if (isDirectory(attr) && attr.ctimeSec === attr.mtimeSec && attr.ctimeNsec === attr.mtimeNsec) return true;
    if (after?.object.layer !== 0 || changed >= bornAt(after.object.attr)) return false;
    const handle = handleOf(this.#stack, { attr, ...lower });
    return handle !== undefined && handle === originOf(this.#stack, after.object);
  }

  /** A copy whose original exists no longer, neither at its path nor under a new name. One with several names may lie at the others. */
  #isOrphan({ path, after, from }: Difference): boolean {
    if (after?.object.layer !== 0 || from !== undefined || this.#moved.has(path)) return false;
    if (after.type !== "directory" && after.object.attr.nlink > 1) return false;
    return originOf(this.#stack, after.object) !== undefined;
  }
}

/** Notes the conflict of each difference. The renames have been found. */
export function findConflicts(stack: LayerStack, { list, moves }: Differences, applied: ReadonlyMap<string, ReadonlySet<string>>): void {
  const judge = new Judge(stack, new Set(moves.map(({ to }) => to)), applied);
  for (const difference of list) {
    const conflict = judge.conflictOf(difference);
    if (conflict !== undefined) difference.conflict = conflict;
  }
}
