// Trees from literals: layers as overlayfs would find them, marks, owners and times included.
import { chmodSync, closeSync, ftruncateSync, linkSync, mkdirSync, openSync, symlinkSync, writeFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { check, native } from "@sluice/native";
import { AT, S, UTIME } from "@sluice/vfs";
import { bytes, nodePath } from "../byte-string.js";

export interface Attributes {
  /** Permission bits; 0644 for files, 0755 for directories by default. */
  mode?: number;
  uid?: number;
  gid?: number;
  /** Nanoseconds since 1970; may be negative. */
  atimeNs?: bigint;
  mtimeNs?: bigint;
  /** Full names with their values. */
  xattrs?: Readonly<Record<string, string | Uint8Array>>;
}

/** Content at an offset; the rest is a hole. */
export interface Extent {
  at: number;
  data: string | Uint8Array;
}

export type Planted =
  | string
  | Uint8Array
  | ({ kind: "file"; content: string | Uint8Array } & Attributes)
  | ({ kind: "sparse"; sizeBytes: number; extents: readonly Extent[] } & Attributes)
  | ({ kind: "directory" } & Attributes)
  | ({ kind: "symlink"; target: string } & Attributes)
  | { kind: "hard-link"; to: string }
  | ({ kind: "special"; type: number; major: number; minor: number } & Attributes);

/**
 * Names below the directory planted in → what is there. A name ending in "/" is a directory; parents come by themselves.
 * Names are byte strings: text beyond ASCII goes through `bytes()`.
 */
export type Tree = Readonly<Record<string, Planted>>;

export const file = (content: string | Uint8Array, attributes: Attributes = {}): Planted => ({ kind: "file", content, ...attributes });
export const sparse = (sizeBytes: number, extents: readonly Extent[] = [], attributes: Attributes = {}): Planted => ({
  kind: "sparse",
  sizeBytes,
  extents,
  ...attributes,
});
export const symlink = (target: string, attributes: Attributes = {}): Planted => ({ kind: "symlink", target, ...attributes });
/** A further name of a file planted earlier in the same literal. */
export const hardLink = (to: string): Planted => ({ kind: "hard-link", to });
export const fifo = (attributes: Attributes = {}): Planted => ({ kind: "special", type: S.IFIFO, major: 0, minor: 0, ...attributes });
export const socket = (attributes: Attributes = {}): Planted => ({ kind: "special", type: S.IFSOCK, major: 0, minor: 0, ...attributes });
export const charDevice = (major: number, minor: number, attributes: Attributes = {}): Planted => ({
  kind: "special",
  type: S.IFCHR,
  major,
  minor,
  ...attributes,
});
export const blockDevice = (major: number, minor: number, attributes: Attributes = {}): Planted => ({
  kind: "special",
  type: S.IFBLK,
  major,
  minor,
  ...attributes,
});
/** Hides the name in the layers below. */
export const whiteout = (): Planted => charDevice(0, 0, { mode: 0 });

/** `opaque` hides everything below; "user" writes the mark of a layer mounted with userxattr. */
export function directory({ opaque, ...attributes }: Attributes & { opaque?: boolean | "user" } = {}): Planted {
  if (!opaque) return { kind: "directory", ...attributes };
  const mark = opaque === "user" ? "user.overlay.opaque" : "trusted.overlay.opaque";
  return { kind: "directory", ...attributes, xattrs: { ...attributes.xattrs, [mark]: "y" } };
}

const DEFAULT_FILE_MODE = 0o644;
const DEFAULT_DIRECTORY_MODE = 0o755;
const NS = 1_000_000_000n;

function asBytes(value: string | Uint8Array): Uint8Array {
  return typeof value === "string" ? Buffer.from(value, "utf8") : value;
}

function writeSparse(path: Buffer, sizeBytes: number, extents: readonly Extent[]): void {
  const fd = openSync(path, "wx");
  try {
    ftruncateSync(fd, sizeBytes);
    for (const { at, data } of extents) writeSync(fd, asBytes(data), 0, undefined, at);
  } finally {
    closeSync(fd);
  }
}

function create(root: string, name: string, planted: Exclude<Planted, string | Uint8Array>): void {
  const path = `${root}/${name}`;
  switch (planted.kind) {
    case "file":
      return writeFileSync(nodePath(path), asBytes(planted.content), { flag: "wx" });
    case "sparse":
      return writeSparse(nodePath(path), planted.sizeBytes, planted.extents);
    case "directory":
      mkdirSync(nodePath(path), { recursive: true });
      return;
    case "symlink":
      return symlinkSync(nodePath(planted.target), nodePath(path));
    case "hard-link":
      return linkSync(nodePath(`${root}/${planted.to}`), nodePath(path));
    case "special":
      check(
        native.mknodat(AT.FDCWD, path, planted.type | (planted.mode ?? DEFAULT_FILE_MODE), planted.major, planted.minor),
        `make ${path}`,
      );
      return;
  }
}

function secondsAndRest(ns: bigint | undefined): readonly [number, number] {
  if (ns === undefined) return [0, UTIME.OMIT];
  const rest = ((ns % NS) + NS) % NS;
  return [Number((ns - rest) / NS), Number(rest)];
}

function setTimes(path: string, { atimeNs, mtimeNs }: Attributes): void {
  if (atimeNs === undefined && mtimeNs === undefined) return;
  const [atimeSec, atimeNsec] = secondsAndRest(atimeNs);
  const [mtimeSec, mtimeNsec] = secondsAndRest(mtimeNs);
  check(native.utimensat(AT.FDCWD, path, { atimeSec, atimeNsec, mtimeSec, mtimeNsec }, AT.SYMLINK_NOFOLLOW), `set times of ${path}`);
}

/** Owner before mode and attributes: a change of owner clears setuid bits and file capabilities. */
function setAttributes(path: string, kind: string, attributes: Attributes): void {
  const { uid, gid, mode, xattrs } = attributes;
  if (uid !== undefined || gid !== undefined) {
    check(native.fchownat(AT.FDCWD, path, uid ?? -1, gid ?? -1, AT.SYMLINK_NOFOLLOW), `change owner of ${path}`);
  }
  if (kind !== "symlink") chmodSync(nodePath(path), mode ?? (kind === "directory" ? DEFAULT_DIRECTORY_MODE : DEFAULT_FILE_MODE));
  for (const [name, value] of Object.entries(xattrs ?? {})) {
    check(native.setxattrat(AT.FDCWD, path, name, asBytes(value), 0), `set ${name} of ${path}`);
  }
  setTimes(path, attributes);
}

interface Item {
  name: string;
  planted: Exclude<Planted, string | Uint8Array>;
}

function itemOf([key, value]: [string, Planted]): Item {
  const name = key.replace(/\/+$/, "");
  if (typeof value === "string" || value instanceof Uint8Array) return { name, planted: { kind: "file", content: value } };
  if (key.endsWith("/") && value.kind !== "directory") throw new Error(`${key} ends in "/" but is a ${value.kind}: drop the slash`);
  return { name, planted: value };
}

/**
 * Makes `tree` below the existing directory `root`, with modes free of the umask. Attributes are set last and inside out,
 * so that a read-only directory takes its children and keeps its times. @returns `root`
 */
export function plant(root: string, tree: Tree): string {
  const base = bytes(root);
  const items = Object.entries(tree).map(itemOf);
  for (const { name, planted } of items) {
    mkdirSync(nodePath(`${base}/${dirname(name)}`), { recursive: true });
    create(base, name, planted);
  }
  for (const { name, planted } of items.reverse()) {
    if (planted.kind !== "hard-link") setAttributes(`${base}/${name}`, planted.kind, planted);
  }
  // Second pass: making a child moved its parent's times.
  for (const { name, planted } of items) {
    if (planted.kind === "directory") setTimes(`${base}/${name}`, planted);
  }
  return root;
}
