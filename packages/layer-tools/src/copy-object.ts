/** Makes an object of a layer again in another directory: its content first, then its owner, attributes, mode and times. */
import { native } from "@sluice/native";
import { escapeName, failed } from "@sluice/runtime/cli";
import { AT, Attr, Errno, errnoName, O, S, SEEK } from "@sluice/vfs";
import { deviceOf } from "./export-layer.js";
import { type Hit, isRegular, type LayerStack } from "./layer-stack.js";
import { isMark, readTarget, readXattrs } from "./read-object.js";
import { shownPath } from "./walk-layers.js";

/** As `asWriter` gives it. */
export const OWNER_WRITES = 0o200;
const PIECE_BYTES = 8n << 20n;
const list = Buffer.alloc(65_536);
const small = Buffer.alloc(65_536);

/** The place of a new object: a descriptor of its directory, and its name. */
export interface Spot {
  directory: number;
  name: string;
}

/** An object of a layer. */
export interface Original {
  stack: LayerStack;
  /** For messages. */
  path: string;
  object: Hit;
}

const NO_ROOM: readonly number[] = [-Errno.ENOSPC, -Errno.EDQUOT];

/** @throws CliError if a system call failed; `what` is the problem */
export function checked(result: number, path: string, what: string): number {
  if (result >= 0) return result;
  const remedy = NO_ROOM.includes(result)
    ? "make room on its disk, and run the command again"
    : "write to a file system that takes owners, devices and attributes";
  throw failed(shownPath(path), `${what} (${errnoName(-result)})`, remedy);
}

/** Makes anything but a directory, under a name that does not exist. `data`: the object with the bytes of a regular file. */
export async function makeObject(original: Original, data: Hit, { directory, name }: Spot): Promise<void> {
  const { stack, path, object } = original;
  const { mode, rdev } = object.attr;
  if (isRegular(object.attr)) return makeFile(original, data, { directory, name });
  if ((mode & S.IFMT) === S.IFLNK) {
    checked(native.symlinkat(readTarget(stack, object), directory, name), path, "it cannot be made");
    return;
  }
  const [major, minor] = deviceOf(rdev);
  checked(native.mknodat(directory, name, (mode & S.IFMT) | 0o600, major, minor), path, "it cannot be made");
}

async function makeFile({ stack, path, object }: Original, data: Hit, { directory, name }: Spot): Promise<void> {
  const target = checked(native.openat(directory, name, O.WRONLY | O.CREAT | O.EXCL | O.CLOEXEC, 0o600), path, "it cannot be made");
  const source = stack.openData(data);
  try {
    const size = object.attr.sizeExact;
    const there = data.attr.sizeExact < size ? data.attr.sizeExact : size;
    const isSmall = data.attr.size <= small.length;
    const copied = isSmall ? copySmall({ source, target }, data.attr) : native.ficlone(target, source) >= 0;
    if (copied && data.attr.sizeExact === size) return;
    if (!copied) await copyExtents(path, { source, target }, there);
    checked(native.ftruncate(target, size), path, "it cannot be made as long as it was");
  } finally {
    native.close(source);
    native.close(target);
  }
}

/** The metadata of an object, read once: the object may be gone when another one gets it. */
export interface Furniture {
  /** For messages. */
  path: string;
  attr: Attr;
  attributes: readonly [name: string, value: Buffer][];
  /** The names of its layer's marks begin so. */
  marks: string;
}

/** @throws CliError */
export function furnitureOf({ stack, path, object }: Original): Furniture {
  return { path, attr: object.attr, attributes: readXattrs(stack, object), marks: stack.tree(object).prefix };
}

/**
 * Changes an attribute. Only those who may write a file may change its attributes of users, and its owner may give that permission. The caller
 * sets the mode afterwards.
 */
export function asWriter(fd: number, change: () => number): number {
  const status = change();
  const attr = new Attr();
  if (status !== -Errno.EACCES || native.statx(fd, "", AT.EMPTY_PATH, attr.words) < 0) return status;
  const opened = native.fchmodat(fd, "", (attr.mode & 0o7777) | OWNER_WRITES, AT.EMPTY_PATH);
  return opened < 0 ? status : change();
}

/**
 * Gives the object of a descriptor (O_PATH will do) owner, attributes, mode and times, in an order in which none undoes another. It loses
 * attributes that the original does not have, such as an access list that it inherited. @throws CliError
 */
export function furnish({ path, attr, attributes, marks }: Furniture, fd: number): void {
  const here = AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW;
  checked(native.fchownat(fd, "", attr.uid, attr.gid, here), path, "its owner cannot be set");
  removeOthers(fd, new Set(attributes.map(([name]) => name)), { path, marks });
  for (const [attribute, value] of attributes) {
    const set = (): number => native.setxattrat(fd, "", attribute, value, 0);
    checked(asWriter(fd, set), path, `its attribute ${escapeName(attribute)} cannot be set`);
  }
  if ((attr.mode & S.IFMT) !== S.IFLNK) checked(native.fchmodat(fd, "", attr.mode & 0o7777, AT.EMPTY_PATH), path, "its mode cannot be set");
  checked(native.utimensat(fd, "", timesOf(attr), here), path, "its times cannot be set");
}

function removeOthers(fd: number, wanted: ReadonlySet<string>, { path, marks }: { path: string; marks: string }): void {
  const length = native.listxattrat(fd, "", list);
  if (length === -Errno.EOPNOTSUPP) return;
  checked(length, path, "its attributes cannot be listed");
  for (const name of list.toString("latin1", 0, length).split("\0")) {
    if (name === "" || wanted.has(name) || isMark(marks, name) || name.startsWith("security.")) continue;
    const remove = (): number => native.removexattrat(fd, "", name);
    checked(asWriter(fd, remove), path, `its attribute ${escapeName(name)} cannot be removed`);
  }
}

function timesOf({ atimeSec, atimeNsec, mtimeSec, mtimeNsec }: Attr): Parameters<typeof native.utimensat>[2] {
  return { atimeSec, atimeNsec, mtimeSec, mtimeNsec };
}

/** A hop to another thread would cost more than the copy. @returns whether the file was small, without holes, and is copied whole */
function copySmall({ source, target }: { source: number; target: number }, { size, blocks }: Attr): boolean {
  if (size > small.length || blocks * 512 < size) return false;
  const range = { offset: 0, length: size, position: 0 };
  return native.pread(source, small, range, 0) === size && native.pwrite(target, small, range, 0) === size;
}

/** Copies only data: holes stay holes. */
async function copyExtents(path: string, { source, target }: { source: number; target: number }, size: bigint): Promise<void> {
  for (let at = 0n; at < size; ) {
    const data = BigInt(native.lseek(source, at, SEEK.DATA));
    if (data === BigInt(-Errno.ENXIO)) return;
    const start = data < 0n ? at : data;
    const hole = data < 0n ? size : BigInt(native.lseek(source, start, SEEK.HOLE));
    const end = hole < 0n || hole > size ? size : hole;
    for (at = start; at < end; ) {
      const length = Number(end - at < PIECE_BYTES ? end - at : PIECE_BYTES);
      const copied = await copyPiece({ source, target }, at, length);
      if (copied === 0) throw failed(shownPath(path), "it became shorter while it was read", "do not change the layers meanwhile");
      at += BigInt(checked(copied, path, "its data cannot be copied"));
    }
  }
}

/** The kernel copies if it can between the two file systems; otherwise this process does. */
async function copyPiece({ source, target }: { source: number; target: number }, at: bigint, length: number): Promise<number> {
  const copied = await native.copyFileRangeAsync(source, at, target, at, length);
  if (copied > 0 || ![Errno.EXDEV, Errno.EOPNOTSUPP, Errno.EINVAL, Errno.ENOSYS, 0].includes(-copied)) return copied;
  const bytes = Buffer.allocUnsafe(Math.min(length, 1 << 20));
  const read = await native.preadAsync(source, bytes, { offset: 0, length: bytes.length, position: at }, 0);
  return read <= 0 ? read : native.pwriteAsync(target, bytes, { offset: 0, length: read, position: at }, 0);
}
