/** A name that the lower layers and the merged tree show differently. */
import type { Hit } from "@sluice/layer-tools";

export type Aspect = "type" | "content" | "mode" | "owner" | "attributes";

/** An object as one of the two trees shows it. */
export interface Side {
  object: Hit;
  /** The object with the bytes of a regular file. */
  data: Hit;
  /** "regular", "directory", ... */
  type: string;
}

export interface Difference {
  /** A byte string, as `from` and `to` are. */
  path: string;
  before: Side | undefined;
  after: Side | undefined;
  /** The aspects in which the two sides differ; a renamed object is compared with the one at `from`. */
  aspects: readonly Aspect[];
  /** The path that the object had, which is deleted. */
  from?: string;
  /** Of a deleted object: the path that it has now. */
  to?: string;
  /** The other names that the merged tree shows of the same file, if it has several. */
  sameFile?: readonly string[];
  /** Of a file that was changed in place: so many names of the lower file are not among the changed ones, and stay with it. */
  oldNames?: number;
  /** The lower file has other names, or had some when the session changed it: it may have been changed by one of those. */
  isShared?: true;
  /** The reason why an apply leaves it in the session unless it is named: the policy of the session denies it. */
  heldBack?: string;
  /** A file system is mounted over it in the lower layers: nothing here or in it can be compared, nor applied. Neither side is known. */
  isCovered?: true;
  /** It changed in the lower layers since the upper layer was begun: applying the difference would lose that. */
  conflict?: string;
  /** Only with a conflict, and only if the two can be merged. */
  merge?: Merge;
}

/** Of a file that changed in the directory as well as in the session: both changes together. */
export interface Merge {
  content: Buffer;
  /** The number of places at which both changed the same lines: there the content has both, between markers. */
  conflicts: number;
}

/** Told of long work, step by step; `total` is undefined while nobody knows it. */
export type OnProgress = (done: number, total?: number) => void;

/** A directory that was renamed as a whole: the upper layer leads to its old place. */
export interface Move {
  from: string;
  to: string;
}

/** Whether the path is `directory` or lies in it. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || (path.startsWith(directory) && path[directory.length] === "/");
}
