/**
 * The parts of an upper layer that show nothing but the lower layers once a selection is applied. They leave the session, so that later
 * changes below show in it again. A part goes as a whole, with copies in it that differ in nothing.
 */
import { isDirectory, join, type LayerStack } from "@sluice/layer-tools";
import { above } from "../complete-selection.js";
import { inodeKeyOf } from "../identity.js";
import type { Differences } from "../walk-differences.js";
import type { Difference } from "../difference.js";

export class Leaves {
  readonly #stack: LayerStack;
  /** The differences that stay, and the directories above them. */
  readonly #needed = new Set<string>();
  readonly #merging = new Map<string, boolean>();
  /** Nobody knows what the directory has there: all of it stays. */
  readonly #covered: ReadonlySet<string>;

  /** @param rest the differences that are not applied. A name of the same file stays with them: without it they would be another file */
  constructor(stack: LayerStack, rest: readonly Difference[], unchanged: Differences["unchanged"] = new Map()) {
    this.#stack = stack;
    this.#covered = new Set(rest.flatMap(({ path, isCovered }) => (isCovered === true ? [path] : [])));
    const inodes = new Set(rest.map(({ after }) => (after === undefined ? "" : inodeKeyOf(after.object.attr))));
    const names = [...unchanged].filter(([inode]) => inodes.has(inode)).flatMap(([, lower]) => lower);
    for (const { path } of [...rest, ...names]) for (const one of [path, ...above(path)]) this.#needed.add(one);
  }

  /** Whether the upper object leaves, by itself or with a directory. Without the others the session would not show the one of the base. */
  has(path: string): boolean {
    for (const one of [...above(path)].reverse()) {
      if (!this.#needed.has(one)) return true;
      if (!this.#merges(one)) return false;
    }
    return !this.#needed.has(path);
  }

  /** The paths of the parts. */
  list(): string[] {
    const leaves: string[] = [];
    const directories = [""];
    for (let at = directories.pop(); at !== undefined; at = directories.pop()) {
      for (const name of this.#stack.names([{ layer: 0, path: at }])) {
        const path = join(at, name);
        if (!this.#needed.has(path)) leaves.push(path);
        else if (this.#merges(path)) directories.push(path);
      }
    }
    return leaves;
  }

  #merges(path: string): boolean {
    if (this.#covered.has(path)) return false;
    const known = this.#merging.get(path);
    if (known !== undefined) return known;
    const slash = path.lastIndexOf("/");
    const merges = mergesIn(this.#stack, path.slice(0, Math.max(0, slash)), path.slice(slash + 1));
    this.#merging.set(path, merges);
    return merges;
  }
}

/** Without the upper object, an entry of an opaque or renamed directory would not show the one at the same path below. */
function mergesIn(stack: LayerStack, directory: string, name: string): boolean {
  const hit = stack.look({ layer: 0, path: directory }, name);
  if (hit === undefined || hit === "whiteout" || hit.opaque || !isDirectory(hit.attr)) return false;
  return stack.mark(hit, "redirect") === undefined;
}
