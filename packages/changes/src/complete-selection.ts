/** Makes a selection one that can be applied by itself: with the directories that its objects need, and with both ends of a move. */
import { isDirectory } from "@sluice/layer-tools";
import { escapeName, unfit } from "@sluice/runtime/cli";
import { type Difference, isWithin, type Move } from "./difference.js";
import type { Differences } from "./walk-differences.js";

const SELECT_BOTH = "select both, or neither";

/** The directories above a path, the nearest first. */
export function* above(path: string): Generator<string> {
  for (let slash = path.lastIndexOf("/"); slash > 0; slash = path.lastIndexOf("/", slash - 1)) yield path.slice(0, slash);
}

const isOldDirectory = ({ before }: Difference): boolean => before !== undefined && isDirectory(before.object.attr);

/** Whether the layers below have something at the path. */
const mayBeBelow = ({ before, isCovered }: Difference): boolean => before !== undefined || isCovered === true;

class Completion {
  readonly #all: Differences;
  readonly #byPath: ReadonlyMap<string, Difference>;
  readonly chosen: Set<Difference>;

  constructor(all: Differences, chosen: Iterable<Difference>) {
    this.#all = all;
    this.#byPath = new Map(all.list.map((one) => [one.path, one]));
    this.chosen = new Set(chosen);
  }

  /** A new object needs the new directories above it. */
  addParents(): void {
    for (const one of [...this.chosen]) {
      if (one.after === undefined) continue;
      for (const path of above(one.path)) {
        const parent = this.#byPath.get(path);
        if (parent === undefined || parent.after === undefined || this.chosen.has(parent)) continue;
        if (parent.before === undefined) this.chosen.add(parent);
        else if (parent.aspects.includes("type")) throw this.#needs(one, parent);
      }
    }
  }

  /** A directory in which something stays is not removed. */
  keepParents(): void {
    for (const one of this.#all.list) {
      if (this.chosen.has(one) || !mayBeBelow(one)) continue;
      for (const path of above(one.path)) {
        const parent = this.#byPath.get(path);
        if (parent === undefined || !this.chosen.has(parent) || !isOldDirectory(parent)) continue;
        if (parent.after === undefined) this.chosen.delete(parent);
        else if (parent.aspects.includes("type")) throw this.#needs(parent, one);
      }
    }
  }

  /** The session shows the content of a renamed directory from its old place. */
  checkMoves(): void {
    for (const { from, to } of this.#all.moves) {
      const parts = this.#all.list.filter(({ path }) => isWithin(path, from) || isWithin(path, to));
      const count = parts.filter((one) => this.chosen.has(one)).length;
      if (count > 0 && count < parts.length)
        throw unfit(escapeName(to), `the directory was renamed from ${escapeName(from)}, and can only be applied as a whole`, SELECT_BOTH);
    }
  }

  /** The same of a file whose content lies under another name below. */
  checkContent(): void {
    for (const one of this.#all.list) {
      const data = one.after?.data;
      if (this.chosen.has(one) || data === undefined || data.layer === 0) continue;
      const source = this.#byPath.get(data.path);
      if (source !== undefined && source !== one && this.chosen.has(source)) throw this.#needs(source, one);
    }
  }

  #needs(one: Difference, other: Difference): Error {
    return unfit(escapeName(one.path), `it cannot be applied without ${escapeName(other.path)}`, SELECT_BOTH);
  }
}

/** Of the differences that stay: those that cannot be applied without them, as in `Completion`. */
class Staying {
  readonly #all: Differences;
  readonly #byPath: ReadonlyMap<string, Difference>;
  readonly set: Set<Difference>;

  constructor(all: Differences, left: Iterable<Difference>) {
    this.#all = all;
    this.#byPath = new Map(all.list.map((one) => [one.path, one]));
    this.set = new Set(left);
  }

  /** Until no further one stays. */
  complete(): void {
    for (let count = 0; count < this.set.size; ) {
      count = this.set.size;
      for (const one of this.#all.list) this.#follow(one);
      for (const move of this.#all.moves) this.#followMove(move);
    }
  }

  #followMove({ from, to }: Move): void {
    const parts = this.#all.list.filter(({ path }) => isWithin(path, from) || isWithin(path, to));
    if (parts.some((one) => this.set.has(one))) for (const one of parts) this.set.add(one);
  }

  #follow(one: Difference): void {
    for (const path of above(one.path)) {
      const parent = this.#byPath.get(path);
      if (parent?.after === undefined || !parent.aspects.includes("type")) continue;
      if (this.set.has(parent) && one.after !== undefined) this.set.add(one);
      if (this.set.has(one) && mayBeBelow(one)) this.set.add(parent);
    }
    const data = this.set.has(one) ? one.after?.data : undefined;
    const source = data === undefined || data.layer === 0 ? undefined : this.#byPath.get(data.path);
    if (source !== undefined) this.set.add(source);
  }
}

/** The wanted differences without those that are left, and without all that can only be applied with one of these. */
export function withoutLeft(all: Differences, wanted: readonly Difference[], left: Iterable<Difference>): Difference[] {
  const staying = new Staying(all, left);
  staying.complete();
  return wanted.filter((one) => !staying.set.has(one));
}

/** @throws CliError if the rest could not be shown any longer */
export function completeSelection(all: Differences, chosen: Iterable<Difference>): Difference[] {
  const completion = new Completion(all, chosen);
  completion.addParents();
  completion.keepParents();
  completion.checkMoves();
  completion.checkContent();
  return all.list.filter((one) => completion.chosen.has(one));
}
