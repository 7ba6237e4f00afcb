/** The content of a tree as plain values that can be compared: every object with everything that a caller can see of it. */
import { createHash, type Hash } from "node:crypto";
import { check, NativeError, native, parseDirents } from "@sluice/native";
import { AT, Attr, errnoName, O, S, SEEK } from "@sluice/vfs";

export interface SnapshotOptions {
  /** Also exact access and change times: for a layer that must not have changed. */
  exact: boolean;
  /** An upper layer as it lies on the disk: whiteouts are named, marks without information are left out. */
  upper: boolean;
}

/** By path; each value one line. */
export type Snapshot = Record<string, string>;

const TYPES: Readonly<Record<number, string>> = {
  [S.IFREG]: "file",
  [S.IFDIR]: "directory",
  [S.IFLNK]: "symlink",
  [S.IFCHR]: "character device",
  [S.IFBLK]: "block device",
  [S.IFIFO]: "fifo",
  [S.IFSOCK]: "socket",
};
/** Marks whose presence differs for good reasons: caches of the implementation, not part of the merged tree. */
const SILENT_MARKS = ["origin", "impure", "uuid", "nlink", "index", "upper", "protattr"].map((name) => `trusted.overlay.${name}`);
const DAY_SEC = 86_400;
const startedSec = Date.now() / 1000;
/** One buffer for all: tens of thousands of objects would each allocate one. */
const room = Buffer.alloc(65_536);

export function typeName(mode: number): string {
  return TYPES[mode & S.IFMT] ?? `mode ${mode.toString(8)}`;
}

/** A time that was set explicitly is exact; one that the run itself caused is only "now". */
export function timeText(sec: number, nsec: number): string {
  return Math.abs(startedSec - sec) < DAY_SEC ? "now" : `${sec}.${String(nsec).padStart(9, "0")}`;
}

/** `rootFd` is a descriptor of the directory; it stays the caller's. */
export function snapshotTree(rootFd: number, options: SnapshotOptions): Snapshot {
  const snapshot: Snapshot = {};
  visitDirectory(rootFd, "", options, snapshot);
  return snapshot;
}

function visitDirectory(fd: number, path: string, options: SnapshotOptions, snapshot: Snapshot): void {
  const names = readNames(fd);
  // A merged directory whose lower part is gone; its other parts are still compared.
  if (typeof names === "number") snapshot[`${path}/`] = `cannot be listed: ${errnoName(-names)}`;
  for (const name of typeof names === "number" ? [] : names) {
    const child = path === "" ? name : `${path}/${name}`;
    const attr = new Attr();
    if (native.statx(fd, name, AT.SYMLINK_NOFOLLOW, attr.words) < 0) {
      snapshot[child] = "listed, but not there";
      continue;
    }
    snapshot[child] = describe(fd, name, attr, options);
    if ((attr.mode & S.IFMT) !== S.IFDIR) continue;
    const childFd = check(native.openat(fd, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC | O.NOATIME, 0), `open ${child}`);
    visitDirectory(childFd, child, options, snapshot);
    native.close(childFd);
  }
}

export function namesIn(fd: number): string[] {
  const names = readNames(fd);
  if (typeof names === "number") throw new NativeError(-names, "cannot read a directory");
  return names;
}

/** Sorted; or the negative errno. */
function readNames(fd: number): string[] | number {
  const names: string[] = [];
  for (let length = native.getdents64(fd, room); length !== 0; length = native.getdents64(fd, room)) {
    if (length < 0) return length;
    parseDirents(room, length, (name) => void (name !== "." && name !== ".." && names.push(name)));
  }
  return names.sort();
}

function describe(fd: number, name: string, attr: Attr, options: SnapshotOptions): string {
  const type = attr.mode & S.IFMT;
  if (options.upper && type === S.IFCHR && attr.rdev === 0) return "whiteout";
  const parts = [typeName(attr.mode), (attr.mode & 0o7777).toString(8), `${attr.uid}:${attr.gid}`];
  parts.push(`mtime=${options.exact ? `${attr.mtimeSec}.${attr.mtimeNsec}` : timeText(attr.mtimeSec, attr.mtimeNsec)}`);
  if (options.exact) parts.push(`atime=${attr.atimeSec}.${attr.atimeNsec}`, `ctime=${attr.ctimeSec}.${attr.ctimeNsec}`);
  if (type !== S.IFDIR) parts.push(`nlink=${attr.nlink}`);
  if (type === S.IFCHR || type === S.IFBLK) parts.push(`rdev=${attr.rdev}`);
  if (type === S.IFLNK) parts.push(`-> ${linkTarget(fd, name)}`);
  if (type === S.IFREG) parts.push(`size=${attr.size}`, contentOf(fd, name));
  return [...parts, ...xattrsOf(fd, name, options)].join(" ");
}

export function linkTarget(fd: number, name: string): string {
  const bytes = Buffer.alloc(4096);
  const length = native.readlinkat(fd, name, bytes);
  return length < 0 ? `errno ${-length}` : bytes.toString("latin1", 0, length);
}

function xattrsOf(fd: number, name: string, options: SnapshotOptions): string[] {
  const length = native.listxattrat(fd, name, room);
  if (length < 0) return [`listxattr errno ${-length}`];
  const names = room
    .toString("latin1", 0, length)
    .split("\0")
    .filter((attribute) => attribute !== "" && !SILENT_MARKS.includes(attribute));
  return names.sort().map((attribute) => {
    const size = native.getxattrat(fd, name, attribute, room);
    const value = size < 0 ? `errno ${-size}` : JSON.stringify(room.toString("latin1", 0, size));
    return options.upper && attribute === "trusted.overlay.redirect" ? `redirect=${value}` : `${attribute}=${value}`;
  });
}

const BLOCK = 4096;
const ZEROES = Buffer.alloc(BLOCK);
const blockBytes = Buffer.alloc(BLOCK);
const HASH_OF_NOTHING = createHash("sha1").digest("hex");

/** Short content as it is, else a hash of the blocks that are not zero: a hole then equals zeroes, and costs nothing. */
function contentOf(dirFd: number, name: string): string {
  const fd = native.openat(dirFd, name, O.RDONLY | O.NOFOLLOW | O.CLOEXEC | O.NOATIME, 0);
  if (fd < 0) return `open errno ${-fd}`;
  const text = hashFile(fd);
  native.close(fd);
  return text;
}

function hashFile(fd: number): string {
  let hash: Hash | undefined;
  let seen = 0;
  let short = "";
  for (let at = dataFrom(fd, 0); at >= 0; at = dataFrom(fd, at + BLOCK)) {
    const read = native.pread(fd, blockBytes, { offset: 0, length: BLOCK, position: at }, 0);
    if (read < 0) return `read errno ${-read}`;
    const block = blockBytes.subarray(0, read);
    if (block.equals(ZEROES.subarray(0, read))) continue;
    if (at === 0 && read <= 64) short = JSON.stringify(block.toString("latin1"));
    hash ??= createHash("sha1");
    hash.update(`${at}:`).update(block);
    seen++;
  }
  return seen === 1 && short !== "" ? short : (hash?.digest("hex") ?? HASH_OF_NOTHING);
}

/** The block of the next data at or after an offset; -1: none. */
function dataFrom(fd: number, offset: number): number {
  const at = Number(native.lseek(fd, offset, SEEK.DATA));
  return at < 0 ? -1 : at - (at % BLOCK);
}
