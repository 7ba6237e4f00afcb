/**
 * A record of everything that can be seen of a tree: names, types, modes, owners, sizes, times, link targets, extended
 * attributes, content. Reading it moves no access time of a file, and none of a directory or link once `primeAccessTimes`
 * has run on a relatime mount.
 */
import { createHash } from "node:crypto";
import { type BigIntStats, closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";
import { native } from "@sluice/native";
import { MIB } from "./demo-paths.js";

export interface SnapshotOptions {
  /** "all" adds the times of change and access, which two views of one tree need not share. */
  times: "all" | "modified";
}
/** The recorded fields of one object; a field that does not apply is absent. */
export type Entry = Readonly<Record<string, string>>;
/** By path below the root, as a byte string; the root is "". */
export type TreeSnapshot = Readonly<Record<string, Entry>>;

/** Content of a file that policy forbids to open: equal to anything. */
export const UNREADABLE = "unreadable";
const AT_FDCWD = -100;
const buffer = Buffer.allocUnsafe(4 * MIB);
const raw = (path: string): Buffer => Buffer.from(path, "latin1");

function hashContent(path: string): string {
  let fd: number;
  try {
    fd = openSync(raw(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NOATIME);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EACCES") return UNREADABLE;
    throw error;
  }
  try {
    const hash = createHash("sha256");
    for (let count = readSync(fd, buffer); count > 0; count = readSync(fd, buffer)) hash.update(buffer.subarray(0, count));
    return hash.digest("hex");
  } finally {
    closeSync(fd);
  }
}

/** trusted.overlay.* is the overlay's own bookkeeping, not part of the tree; on a layer itself it is. */
function readXattrs(path: string): string {
  const list = Buffer.alloc(65536);
  const length = native.listxattrat(AT_FDCWD, path, list);
  if (length <= 0) return "";
  const names = list
    .toString("latin1", 0, length - 1)
    .split("\0")
    .sort();
  const value = Buffer.alloc(65536);
  return names.map((name) => `${name}=${value.toString("hex", 0, Math.max(0, native.getxattrat(AT_FDCWD, path, name, value)))}`).join(" ");
}

function kindOf(stat: BigIntStats): string {
  if (stat.isFile()) return "file";
  if (stat.isDirectory()) return "directory";
  if (stat.isSymbolicLink()) return "symlink";
  return "special";
}

function describe(path: string, stat: BigIntStats, options: SnapshotOptions): Entry {
  const kind = kindOf(stat);
  return {
    kind,
    mode: (stat.mode & 0o7777n).toString(8),
    owner: `${stat.uid}:${stat.gid}`,
    xattrs: readXattrs(path),
    modified: String(stat.mtimeNs),
    ...(options.times === "all" ? { changed: String(stat.ctimeNs), accessed: String(stat.atimeNs) } : {}),
    // A directory's size is its file system's affair.
    ...(kind === "directory" ? {} : { size: String(stat.size) }),
    ...(kind === "file" ? { content: hashContent(path) } : {}),
    ...(kind === "symlink" ? { target: readlinkSync(raw(path), "latin1") } : {}),
    ...(kind === "special" ? { device: `${stat.mode >> 12n} ${stat.rdev}` } : {}),
  };
}

function walk(root: string, visit: (relative: string, path: string, stat: BigIntStats) => void): void {
  const pending = [""];
  for (let relative = pending.pop(); relative !== undefined; relative = pending.pop()) {
    const path = relative === "" ? root : `${root}/${relative}`;
    const stat = lstatSync(raw(path), { bigint: true });
    visit(relative, path, stat);
    if (!stat.isDirectory()) continue;
    for (const name of readdirSync(raw(path), "latin1")) pending.push(relative === "" ? name : `${relative}/${name}`);
  }
}

/** `root` is an ordinary path. */
export function takeSnapshot(root: string, options: SnapshotOptions): TreeSnapshot {
  const entries: Record<string, Entry> = {};
  walk(Buffer.from(root).toString("latin1"), (relative, path, stat) => {
    entries[relative] = describe(path, stat, options);
  });
  return entries;
}

/**
 * Reads a byte of every file, every directory and every link once. Under relatime an access time moves only if it is not
 * younger than the last change, or older than a day: afterwards it stands still for a day, whoever reads.
 */
export function primeAccessTimes(root: string): void {
  walk(Buffer.from(root).toString("latin1"), (_, path, stat) => {
    if (stat.isSymbolicLink()) readlinkSync(raw(path), "latin1");
    if (!stat.isFile() || stat.size === 0n) return;
    const fd = openSync(raw(path), constants.O_RDONLY | constants.O_NOFOLLOW);
    readSync(fd, buffer, 0, 1, 0);
    closeSync(fd);
  });
}

/** One line for each object that differs: its path and which fields do. Empty if the trees are alike. */
export function compareSnapshots(before: TreeSnapshot, after: TreeSnapshot): string[] {
  const differences: string[] = [];
  for (const path of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [one, other] = [before[path], after[path]];
    const name = path === "" ? "." : path;
    if (one === undefined) differences.push(`${name}: only in the second`);
    else if (other === undefined) differences.push(`${name}: only in the first`);
    else {
      const fields = differingFields(one, other);
      if (fields.length > 0) differences.push(`${name}: ${fields.join(", ")}`);
    }
  }
  return differences.sort();
}

function differingFields(one: Entry, other: Entry): string[] {
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].filter(
    (field) => one[field] !== other[field] && !(field === "content" && (one[field] === UNREADABLE || other[field] === UNREADABLE)),
  );
}

/** A digest of the whole record, for people to compare. */
export function digestSnapshot(snapshot: TreeSnapshot): string {
  const hash = createHash("sha256");
  for (const path of Object.keys(snapshot).sort()) {
    const entry = snapshot[path] ?? {};
    hash.update(
      `${path}\0${Object.keys(entry)
        .sort()
        .map((field) => `${field}=${entry[field]}`)
        .join("\0")}\n`,
    );
  }
  return hash.digest("hex");
}
