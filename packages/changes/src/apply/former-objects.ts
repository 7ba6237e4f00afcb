/**
 * Objects that the directory had before an apply, and that cannot return to their places: somebody changed those after the command was killed. They
 * are put beside, so that nothing is lost, and the session can be used and discarded.
 */
import { inDirectory, native } from "@sluice/native";
import { escapeName, unfit } from "@sluice/runtime/cli";
import { Attr, Errno, RENAME } from "@sluice/vfs";
import { above } from "../complete-selection.js";
import { isOwn, type OwnPlaces } from "./own-objects.js";
import { look, must, type UseName } from "./place.js";
import type { Step } from "./record.js";
import { isInode } from "./steps.js";

const SUFFIX = ".before-apply";
const MAX_NAME_BYTES = 255;
const MAX_NUMBER = 10_000;
/** Somebody removed or replaced the directory. */
const NO_DIRECTORY: readonly number[] = [Errno.ENOENT, Errno.ENOTDIR, Errno.ELOOP];

type Taking = Extract<Step, { do: "remove" | "replace" }>;

export class FormerObjects {
  readonly #base: number;
  readonly #slots: number;
  readonly #own: OwnPlaces;
  /** The new paths of directories by their former ones: their entries go there, too. */
  readonly #moved = new Map<string, string>();

  /** `slots`: negative if they are gone already */
  constructor(base: number, slots: number, own: OwnPlaces) {
    this.#base = base;
    this.#slots = slots;
    this.#own = own;
  }

  /** A directory comes before its entries. @returns the new path of the object that the step took away, if it is there. @throws CliError */
  putBeside(step: Step): string | undefined {
    if ((step.do !== "remove" && step.do !== "replace") || !this.#has(step)) return undefined;
    for (const path of this.#candidates(step.path)) {
      const status = this.#move(step, path);
      if (status === -Errno.EEXIST || NO_DIRECTORY.includes(-status)) continue;
      must(status, escapeName(step.path), "its file from before the apply cannot be put beside it");
      this.#moved.set(step.path, path);
      return path;
    }
    throw unfit(escapeName(step.path), "nothing can be put beside it (EEXIST)", `remove the files '*${SUFFIX}-*' there`);
  }

  /** The path itself if it is free, else beside it, or beside the nearest directory above it that is still there. */
  *#candidates(path: string): Iterable<string> {
    yield path;
    const parents = [...above(path)].sort((one, other) => other.length - one.length);
    const [parent = ""] = parents;
    const name = path.slice(path.lastIndexOf("/") + 1);
    const moved = this.#moved.get(parent);
    if (moved !== undefined) yield `${moved}/${name}`;
    for (const directory of parent === "" ? [""] : [...parents, ""]) {
      if (directory !== "" && !this.#isThere(directory)) continue;
      for (let number = 1; number <= MAX_NUMBER; number++) {
        const suffix = number === 1 ? SUFFIX : `${SUFFIX}-${number}`;
        const beside = `${name.slice(0, MAX_NAME_BYTES - suffix.length)}${suffix}`;
        yield directory === "" ? beside : `${directory}/${beside}`;
      }
    }
  }

  #isThere(directory: string): boolean {
    return inDirectory(this.#base, `${directory}/.`, () => 0) === 0;
  }

  #use(step: Taking, use: UseName): number {
    return isOwn(step) ? this.#own.at(step.path, use) : use(this.#slots, String(step.slot));
  }

  #has(step: Taking): boolean {
    if (isOwn(step)) return isInode(this.#own.look(step.path), step.before);
    return this.#slots >= 0 && isInode(look(this.#slots, String(step.slot), new Attr()), step.before);
  }

  #move(step: Taking, path: string): number {
    return this.#use(step, (from, name) =>
      inDirectory(this.#base, path, (into, last) => native.renameat2(from, name, into, last, RENAME.NOREPLACE)),
    );
  }
}

const MAX_NAMED = 3;

function named(paths: readonly string[]): string {
  const more = paths.length > MAX_NAMED ? ` and ${paths.length - MAX_NAMED} more` : "";
  return `${paths.slice(0, MAX_NAMED).map(escapeName).join(", ")}${more}`;
}

/** Of steps that could not be reversed: everything else was. @param formers the new paths of the objects from before */
export function staying(paths: readonly string[], formers: readonly string[]): Error {
  const problem = "it changed before an interrupted command was reversed: it stays, and the rest was undone";
  const remedy = formers.length === 0 ? "run the command again" : `compare it with the file from before the apply: ${named(formers)}`;
  return unfit(named(paths), problem, remedy);
}
