// A whole tree as values that can be compared: what stat, readlink, listxattr and read say of every name in it.
// Works through descriptors, name by name, so that any name and any depth can be read; changes nothing but access times
// (and with `atime`, not even those).
import { createHash, type Hash } from "node:crypto";
import { check, MOUNT_ATTR, native, OPEN_TREE, parseDirents, STAT_WORDS, StatWord } from "@sluice/native";
import { AT, O, S } from "@sluice/vfs";
import { bytes } from "../byte-string.js";

export interface SnapshotOptions {
  /** Records access times, and reads the tree through a private noatime mount so as not to move them. Needs CAP_SYS_ADMIN. */
  atime?: boolean;
  /** Records which names are the same file, and link counts. */
  hardLinks?: boolean;
  /** Attributes whose name matches are left out: marks that one view shows and another hides. */
  ignoreXattrs?: RegExp;
  /** Leaves contents unread. */
  namesOnly?: boolean;
}

export interface EntrySnapshot {
  type: "file" | "directory" | "symlink" | "character-device" | "block-device" | "fifo" | "socket";
  /** Permission bits, octal. */
  mode: string;
  owner: string;
  /** Absent for directories: every file system counts its own. */
  sizeBytes?: bigint;
  mtimeNs: bigint;
  atimeNs?: bigint;
  device?: string;
  target?: string;
  /** Name → value, hexadecimal. */
  xattrs: Readonly<Record<string, string>>;
  /** SHA-256. */
  content?: string;
  sameAs?: string;
  links?: number;
}

/** By path below the root (a byte string; "" is the root), in sorted order. */
export type Snapshot = ReadonlyMap<string, EntrySnapshot>;

const TYPES = new Map<number, EntrySnapshot["type"]>([
  [S.IFREG, "file"],
  [S.IFDIR, "directory"],
  [S.IFLNK, "symlink"],
  [S.IFCHR, "character-device"],
  [S.IFBLK, "block-device"],
  [S.IFIFO, "fifo"],
  [S.IFSOCK, "socket"],
]);
const NS = 1_000_000_000n;
const CHUNK_BYTES = 1 << 20;
const DIRENT_BYTES = 1 << 16;
const XATTR_BYTES = 1 << 16;

/** Made once, since a snapshot has many entries and waits for nothing: no two of its steps use one at a time. */
const BUFFERS = {
  content: Buffer.allocUnsafeSlow(CHUNK_BYTES),
  dirents: Buffer.allocUnsafeSlow(DIRENT_BYTES),
  xattrNames: Buffer.allocUnsafeSlow(XATTR_BYTES),
  xattrValue: Buffer.allocUnsafeSlow(XATTR_BYTES),
};

interface Walk {
  options: SnapshotOptions;
  entries: Map<string, EntrySnapshot>;
  /** "dev:ino" → first path. */
  seen: Map<string, string>;
}

function word(words: Uint32Array, index: number): number {
  return words[index] ?? 0;
}

function wide(words: Uint32Array, lo: number, hi: number): bigint {
  return (BigInt(word(words, hi)) << 32n) | BigInt(word(words, lo));
}

function timeNs(words: Uint32Array, lo: number, hi: number, nsec: number): bigint {
  return BigInt.asIntN(64, wide(words, lo, hi)) * NS + BigInt(word(words, nsec));
}

function statOf(fd: number, path: string): Uint32Array {
  const words = new Uint32Array(STAT_WORDS);
  check(native.statx(fd, "", AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW, words), `stat ${path}`);
  return words;
}

function targetOf(fd: number, path: string): string {
  const length = check(native.readlinkat(fd, "", BUFFERS.content), `read the link ${path}`);
  return BUFFERS.content.toString("latin1", 0, length);
}

const ENOTSUP = 95;

function xattrsOf(fd: number, path: string, ignore: RegExp | undefined): Record<string, string> {
  const { xattrNames, xattrValue } = BUFFERS;
  const length = native.listxattrat(fd, "", xattrNames);
  if (length === -ENOTSUP || length === 0) return {};
  check(length, `list the attributes of ${path}`);
  const names = xattrNames.toString("latin1", 0, length).split("\0").filter(Boolean).sort();
  const compared = names.filter((name) => !ignore?.test(name));
  return Object.fromEntries(
    compared.map((name) => {
      const size = check(native.getxattrat(fd, "", name, xattrValue), `read ${name} of ${path}`);
      return [name, xattrValue.toString("hex", 0, size)];
    }),
  );
}

interface LocatedEntry {
  directoryFd: number;
  name: string;
  path: string;
}

function contentOf({ directoryFd, name, path }: LocatedEntry): string {
  const fd = check(native.openat(directoryFd, name, O.RDONLY | O.NOFOLLOW | O.CLOEXEC | O.NONBLOCK, 0), `open ${path}`);
  try {
    return readThrough(fd, path).digest("hex");
  } finally {
    native.close(fd);
  }
}

function readThrough(fd: number, path: string): Hash {
  const chunk = BUFFERS.content;
  const hash = createHash("sha256");
  for (let position = 0; ; ) {
    const count = check(native.pread(fd, chunk, { offset: 0, length: chunk.length, position }, 0), `read ${path}`);
    if (count === 0) return hash;
    hash.update(chunk.subarray(0, count));
    position += count;
  }
}

function namesIn(fd: number, path: string): string[] {
  const buffer = BUFFERS.dirents;
  const names: string[] = [];
  for (;;) {
    const length = check(native.getdents64(fd, buffer), `list ${path}`);
    if (length === 0) return names.sort();
    parseDirents(buffer, length, (name) => {
      if (name !== "." && name !== "..") names.push(name);
    });
  }
}

function linkFacts(walk: Walk, words: Uint32Array, path: string): Pick<EntrySnapshot, "sameAs" | "links"> {
  if (!walk.options.hardLinks || (word(words, StatWord.mode) & S.IFMT) === S.IFDIR) return {};
  const key = `${word(words, StatWord.devMajor)}:${word(words, StatWord.devMinor)}:${wide(words, StatWord.inoLo, StatWord.inoHi)}`;
  const first = walk.seen.get(key);
  if (first === undefined) walk.seen.set(key, path);
  return { links: word(words, StatWord.nlink), ...(first === undefined ? {} : { sameAs: first }) };
}

function deviceFact(type: EntrySnapshot["type"], words: Uint32Array): Pick<EntrySnapshot, "device"> {
  return type === "character-device" || type === "block-device" ? { device: word(words, StatWord.rdev).toString(16) } : {};
}

function entryOf(walk: Walk, located: LocatedEntry, fd: number): EntrySnapshot {
  const { path } = located;
  const words = statOf(fd, path);
  const mode = word(words, StatWord.mode);
  const type = TYPES.get(mode & S.IFMT) ?? "file";
  return {
    type,
    mode: (mode & 0o7777).toString(8),
    owner: `${word(words, StatWord.uid)}:${word(words, StatWord.gid)}`,
    ...(type === "directory" ? {} : { sizeBytes: wide(words, StatWord.sizeLo, StatWord.sizeHi) }),
    mtimeNs: timeNs(words, StatWord.mtimeLo, StatWord.mtimeHi, StatWord.mtimeNsec),
    ...(walk.options.atime ? { atimeNs: timeNs(words, StatWord.atimeLo, StatWord.atimeHi, StatWord.atimeNsec) } : {}),
    ...deviceFact(type, words),
    ...(type === "symlink" ? { target: targetOf(fd, path) } : {}),
    xattrs: xattrsOf(fd, path, walk.options.ignoreXattrs),
    ...linkFacts(walk, words, path),
    ...(type === "file" && !walk.options.namesOnly ? { content: contentOf(located) } : {}),
  };
}

function visit(walk: Walk, located: LocatedEntry): void {
  const { directoryFd, name, path } = located;
  const fd = check(native.openat(directoryFd, name, O.PATH | O.NOFOLLOW | O.CLOEXEC, 0), `open ${path}`);
  try {
    const entry = entryOf(walk, located, fd);
    walk.entries.set(path, entry);
    if (entry.type === "directory") visitChildren(walk, fd, path);
  } finally {
    native.close(fd);
  }
}

function visitChildren(walk: Walk, directoryFd: number, path: string): void {
  const fd = check(native.openat(directoryFd, ".", O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0), `open ${path}`);
  try {
    for (const name of namesIn(fd, path)) visit(walk, { directoryFd: fd, name, path: path === "" ? name : `${path}/${name}` });
  } finally {
    native.close(fd);
  }
}

function openRoot(root: string, preservesAtime: boolean): number {
  const path = bytes(root);
  if (!preservesAtime) return check(native.openat(AT.FDCWD, path, O.PATH | O.DIRECTORY | O.CLOEXEC, 0), `open ${root}`);
  const fd = check(native.openTree(AT.FDCWD, path, OPEN_TREE.CLONE | O.CLOEXEC), `clone the mount of ${root}`);
  check(native.mountSetattr(fd, "", AT.EMPTY_PATH, MOUNT_ATTR.NOATIME, MOUNT_ATTR.ATIME_MASK), `set noatime for ${root}`);
  return fd;
}

/**
 * Everything below (and including) the directory `root`. Mounts below it are entered, except with `atime`.
 * Synchronous: on a mount, call it through a child process if the server might hang.
 * @throws NativeError if anything cannot be read: a snapshot with holes in it would compare equal to too much.
 */
export function snapshot(root: string, options: SnapshotOptions = {}): Snapshot {
  const walk: Walk = { options, entries: new Map(), seen: new Map() };
  const fd = openRoot(root, options.atime === true);
  try {
    visit(walk, { directoryFd: fd, name: ".", path: "" });
  } finally {
    native.close(fd);
  }
  return walk.entries;
}

function plain(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? inner.toString() : inner)) ?? "absent";
}

/** One hash for the whole tree, access times included: equal before and after means nothing was touched. */
export function treeHash(root: string, options: SnapshotOptions = { atime: true, hardLinks: true }): string {
  return createHash("sha256")
    .update(plain([...snapshot(root, options)]))
    .digest("hex");
}

function differences(path: string, a: EntrySnapshot, b: EntrySnapshot): string[] {
  const fields = [...new Set([...Object.keys(a), ...Object.keys(b)])] as (keyof EntrySnapshot)[];
  return fields
    .filter((field) => a[field] !== b[field] && plain(a[field]) !== plain(b[field]))
    .map((field) => `${path || "."}: ${field} ${plain(a[field])} ≠ ${plain(b[field])}`);
}

/** One line for each difference, in the order of names; empty if the trees are equal. */
export function diffSnapshots(a: Snapshot, b: Snapshot): string[] {
  const paths = [...new Set([...a.keys(), ...b.keys()])].sort();
  return paths.flatMap((path) => {
    const [left, right] = [a.get(path), b.get(path)];
    if (left && right) return differences(path, left, right);
    return [`${path}: only on the ${left ? "left" : "right"} (${(left ?? right)?.type})`];
  });
}
