/** Lists the changes of an upper layer: a walk over the upper layer, with a look into the lower layers for each name in it. */
import { type Attr, S } from "@sluice/vfs";
import { type Found, find, join, namesIn, readMark, type Tree } from "./tree.js";
import { Deeper, unnested } from "./unnested.js";

export type ChangeKind = "added" | "modified" | "deleted" | "opaque" | "metadata" | "copied";

export interface Change {
  kind: ChangeKind;
  /** A byte string, as `from` is. */
  path: string;
  /** "regular", "directory", ...: the type now, or before a deletion. */
  type: string;
  /** The old path of a renamed directory. */
  from?: string;
}

/** A visible directory of a lower layer. */
interface Below {
  tree: Tree;
  path: string;
}

const types: ReadonlyMap<number, string> = new Map([
  [S.IFREG, "regular"],
  [S.IFDIR, "directory"],
  [S.IFLNK, "symlink"],
  [S.IFCHR, "character-device"],
  [S.IFBLK, "block-device"],
  [S.IFIFO, "fifo"],
  [S.IFSOCK, "socket"],
]);

const kindOf = (attr: Attr): number => attr.mode & S.IFMT;
/** "regular", "directory", ... */
export const typeName = (attr: Attr): string => types.get(kindOf(attr)) ?? "unknown";

interface Hit {
  found: Found;
  below: Below;
}

function findBelow(below: readonly Below[], name: string): Hit | undefined {
  for (const directory of below) {
    const found = find(directory.tree, directory.path, name);
    if (found !== undefined) return found.whiteout ? undefined : { found, below: directory };
  }
  return undefined;
}

/** The lower directories that merge into the one called `name` here. */
function descend(below: readonly Below[], name: string): Below[] {
  const into: Below[] = [];
  for (const { tree, path } of below) {
    const found = find(tree, path, name);
    if (found === undefined) continue;
    if (found.whiteout || kindOf(found.attr) !== S.IFDIR) break;
    const inner = join(path, name);
    into.push({ tree, path: inner });
    if (readMark(tree, inner, "opaque") === "y") break;
  }
  return into;
}

function sameOwnerAndMode(one: Attr, other: Attr): boolean {
  return one.mode === other.mode && one.uid === other.uid && one.gid === other.gid;
}

/** A copy-up preserves size and modification time; a write changes the latter. */
function sameContent(one: Attr, other: Attr): boolean {
  return one.size === other.size && one.mtimeSec === other.mtimeSec && one.mtimeNsec === other.mtimeNsec;
}

/** Of an object in an upper layer and the one below it; undefined if a directory did not change. */
export function kindOfChange(now: Attr, before: Attr): ChangeKind | undefined {
  if (kindOf(now) !== kindOf(before)) return "modified";
  if (kindOf(now) === S.IFDIR) return sameOwnerAndMode(now, before) ? undefined : "metadata";
  if (!sameContent(now, before)) return "modified";
  return sameOwnerAndMode(now, before) ? "copied" : "metadata";
}

type Step = Change | Deeper<Change>;

class Walk {
  constructor(
    readonly upper: Tree,
    readonly roots: readonly Below[],
  ) {}

  *directory(path: string, below: readonly Below[]): Generator<Step> {
    for (const name of namesIn(this.upper, path)) {
      const found = find(this.upper, path, name);
      if (found !== undefined) yield* this.entry(path, name, found, below);
    }
  }

  *entry(directory: string, name: string, found: Found, below: readonly Below[]): Generator<Step> {
    const path = join(directory, name);
    const hit = findBelow(below, name);
    if (found.whiteout) {
      if (hit !== undefined) yield { kind: "deleted", path, type: typeName(hit.found.attr) };
      return;
    }
    if (kindOf(found.attr) === S.IFDIR) {
      yield* this.subdirectory(path, name, found, below);
      return;
    }
    const kind = hit === undefined ? "added" : kindOfChange(found.attr, hit.found.attr);
    if (kind !== undefined) yield { kind, path, type: typeName(found.attr) };
  }

  *subdirectory(path: string, name: string, found: Found, below: readonly Below[]): Generator<Step> {
    const hit = findBelow(below, name);
    const redirect = readMark(this.upper, path, "redirect");
    const opaque = readMark(this.upper, path, "opaque") === "y";
    const shown = { path, type: "directory" };
    if (redirect !== undefined) {
      yield { kind: "added", ...shown, from: redirect };
      yield new Deeper(this.directory(path, this.#redirected(redirect, below)));
      return;
    }
    if (hit === undefined) yield { kind: "added", ...shown };
    else if (opaque || kindOf(hit.found.attr) !== S.IFDIR) yield { kind: "opaque", ...shown };
    else if (kindOfChange(found.attr, hit.found.attr) === "metadata") yield { kind: "metadata", ...shown };
    yield new Deeper(this.directory(path, opaque ? [] : descend(below, name)));
  }

  #redirected(redirect: string, below: readonly Below[]): readonly Below[] {
    if (!redirect.startsWith("/")) return descend(below, redirect);
    let at = this.roots;
    for (const part of redirect.slice(1).split("/")) at = descend(at, part);
    return at;
  }
}

/** Changes in the order of their names, a directory before its entries. */
export function walkUpper(upper: Tree, lowers: readonly Tree[]): Iterable<Change> {
  const roots = lowers.map((tree) => ({ tree, path: "" }));
  return unnested(new Walk(upper, roots).directory("", roots));
}
