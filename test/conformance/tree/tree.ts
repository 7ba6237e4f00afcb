/** Literals for trees of files: the content of a layer before a case runs. This file creates nothing; see plant-tree.ts. */

/** Settings of any object; owner root, a fixed old time and no attributes if omitted. */
export interface Traits {
  mode?: number;
  uid?: number;
  gid?: number;
  /** Seconds since 1970, may be negative, and nanoseconds. */
  mtime?: readonly [sec: number, nsec: number];
  atime?: readonly [sec: number, nsec: number];
  /** Values as byte strings. */
  xattrs?: Readonly<Record<string, string>>;
}

export type Entry =
  | { kind: "file"; content: string; sizeBytes?: number; pieces?: Readonly<Record<number, string>>; traits: Traits }
  | { kind: "directory"; entries: Tree; traits: Traits }
  | { kind: "symlink"; target: string; traits: Traits }
  | { kind: "fifo" | "socket"; traits: Traits }
  | { kind: "device"; character: boolean; major: number; minor: number; traits: Traits }
  | { kind: "whiteout" }
  /** A further name of an object planted before it; the path is relative to the same layer's case directory. */
  | { kind: "hard-link"; to: string };

/** Names are byte strings. A bare string is a file with that content, a bare tree a directory. */
export interface Tree {
  readonly [name: string]: Entry | string;
}

export const file = (content: string, traits: Traits = {}): Entry => ({ kind: "file", content, traits });
/** A file of holes except for the pieces at the given offsets. */
export const sparse = (sizeBytes: number, pieces: Readonly<Record<number, string>>, traits: Traits = {}): Entry => ({
  kind: "file",
  content: "",
  sizeBytes,
  pieces,
  traits,
});
export const dir = (entries: Tree = {}, traits: Traits = {}): Entry => ({ kind: "directory", entries, traits });
export const opaque = (entries: Tree = {}, traits: Traits = {}): Entry =>
  dir(entries, { ...traits, xattrs: { ...traits.xattrs, "trusted.overlay.opaque": "y" } });
export const symlink = (target: string, traits: Traits = {}): Entry => ({ kind: "symlink", target, traits });
export const fifo = (traits: Traits = {}): Entry => ({ kind: "fifo", traits });
export const socket = (traits: Traits = {}): Entry => ({ kind: "socket", traits });
export const charDevice = (major: number, minor: number, traits: Traits = {}): Entry => ({
  kind: "device",
  character: true,
  major,
  minor,
  traits,
});
export const blockDevice = (major: number, minor: number, traits: Traits = {}): Entry => ({
  kind: "device",
  character: false,
  major,
  minor,
  traits,
});
export const whiteout = (): Entry => ({ kind: "whiteout" });
export const hardLink = (to: string): Entry => ({ kind: "hard-link", to });
