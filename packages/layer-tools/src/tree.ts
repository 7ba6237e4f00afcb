/** Reads layers beneath their roots, at any depth, without following links. It writes nothing. */
import { native, openBeneath, readNames, toBytes } from "@sluice/native";
import { CliError, escapeName, EXIT, failed, unfit } from "@sluice/runtime/cli";
import { AT, Attr, Errno, errnoName, O, S, STAT_BLOCK_WORDS } from "@sluice/vfs";
import { openNamed } from "./open-named.js";

export interface Tree {
  /** For messages. */
  readonly path: string;
  readonly fd: number;
  readonly prefix: "trusted.overlay." | "user.overlay.";
}

export interface Found {
  attr: Attr;
  whiteout: boolean;
}

const MAX_MARK_BYTES = 8192;
const mark = Buffer.alloc(MAX_MARK_BYTES);

/**
 * The mount of an ordinary user's session reads and makes files of the user that their mode hides from them: so does whoever reads its layers.
 * Call it before one is opened whose root belongs to the session.
 */
export function readAsMount(userXattr: boolean): void {
  if (userXattr && process.geteuid?.() !== 0) native.readAsOwner(true);
}

/** A layer that was opened already; the descriptor goes with the tree. */
export function treeOf(path: string, fd: number, userXattr: boolean): Tree {
  readAsMount(userXattr);
  return { path, fd, prefix: userXattr ? "user.overlay." : "trusted.overlay." };
}

/** Opens a directory that the command line names. @throws CliError */
export function openTree(path: string, userXattr: boolean): Tree {
  const fd = openNamed(toBytes(path));
  if (fd === -Errno.ELOOP)
    throw unfit(path, "a symbolic link of another user lies on its path (ELOOP)", "name the directory by a path without that link");
  if (fd < 0) throw unfit(path, `the directory cannot be opened (${errnoName(-fd)})`, "name a directory that can be read");
  return treeOf(path, fd, userXattr);
}

const STATFS_WORDS = 12;
/** OVERLAYFS_SUPER_MAGIC and FUSE_SUPER_MAGIC. */
const OVERLAYS: readonly number[] = [0x794c7630, 0x65735546];

/** Whether the directory is that of an overlay, which copies an object up when it is moved: the copy has the same number, and was born then. */
export function isOfOverlay(base: number): boolean {
  const facts = new Float64Array(STATFS_WORDS);
  return native.fstatfs(base, facts) >= 0 && OVERLAYS.includes(facts[0] as number);
}

/** A mount shows no file system that is mounted within its layers, and neither do these tools. Otherwise the remedy is that of the caller. */
export const remedyFor = (status: number, remedy: string): string =>
  status === -Errno.EXDEV ? "unmount the file system that is mounted there" : remedy;

/** Something lies below a file system that is mounted over a directory of a layer. */
export class MountedOver extends CliError {}

/** STATX_ATTR_MOUNT_ROOT. */
const MOUNT_ROOT = 0x2000;

/** A file system is mounted there: the object of the layer itself cannot be seen. */
export const isCovered = ({ attributes }: Attr): boolean => (attributes & MOUNT_ROOT) !== 0;

/** The path of an object, for messages. */
export function shownIn(tree: Tree, path: string): string {
  return path === "" ? tree.path : `${tree.path}/${escapeName(path)}`;
}

function openDirectory(tree: Tree, path: string): number {
  return openBeneath(tree.fd, path === "" ? "." : path, O.RDONLY | O.DIRECTORY, 0);
}

/** Names in a directory, as byte strings, sorted. */
export function namesIn(tree: Tree, path: string): string[] {
  const fd = openDirectory(tree, path);
  if (fd < 0) throw failed(shownIn(tree, path), `the directory cannot be read (${errnoName(-fd)})`, remedyFor(fd, "check its permissions"));
  const names = readNames(fd);
  native.close(fd);
  if (typeof names === "number") throw failed(shownIn(tree, path), `the directory cannot be read (${errnoName(-names)})`, "check its disk");
  return names.sort();
}

/** One name of a directory; undefined if it is not there, or its directory is not. */
export function find(tree: Tree, directory: string, name: string): Found | undefined {
  return lookUp(tree, directory, name, (fd, attr) => ({ attr, whiteout: isWhiteoutAt(tree, fd, { name, attr }) }));
}

function unreadable(object: string, status: number): CliError {
  const problem = `it cannot be read (${errnoName(-status)})`;
  const about = { object, problem, remedy: remedyFor(status, "check its permissions"), exitCode: EXIT.FAILED };
  return status === -Errno.EXDEV ? new MountedOver(about) : new CliError(about);
}

/** Nothing has that name, or it has been replaced meanwhile. */
const ABSENT: readonly number[] = [-Errno.ENOENT, -Errno.ENOTDIR, -Errno.ELOOP];

/**
 * Runs `use` on a descriptor of the directory and the attributes of `name` in it; undefined if there is no such name.
 * @throws CliError if it cannot be read
 */
export function lookUp<T>(tree: Tree, directory: string, name: string, use: (directoryFd: number, attr: Attr) => T): T | undefined {
  let result: T | undefined;
  lookUpAll(tree, { path: directory, names: [name] }, (fd, _name, attr) => {
    result = use(fd, attr);
  });
  return result;
}

/** The same for many names of the directory; `use` is called for those that exist. @throws CliError */
export function lookUpAll(
  tree: Tree,
  { path, names }: { path: string; names: readonly string[] },
  use: (directoryFd: number, name: string, attr: Attr) => void,
): void {
  const fd = openBeneath(tree.fd, path === "" ? "." : path, O.PATH | O.DIRECTORY, 0);
  const words = new Uint32Array(STAT_BLOCK_WORDS * names.length);
  try {
    for (const [index, name] of names.entries()) {
      const attr = new Attr(words.subarray(STAT_BLOCK_WORDS * index, STAT_BLOCK_WORDS * (index + 1)));
      const status = fd < 0 ? fd : native.statx(fd, name, AT.SYMLINK_NOFOLLOW, attr.words);
      if (status >= 0) use(fd, name, attr);
      else if (!ABSENT.includes(status)) throw unreadable(shownIn(tree, join(path, name)), status);
    }
  } finally {
    if (fd >= 0) native.close(fd);
  }
}

/** The reason why a name is not a directory; links are not followed. Undefined if it is one, or if it does not exist. */
export function notDirectory(tree: Tree, directory: string, name: string): string | undefined {
  const found = find(tree, directory, name);
  if (found === undefined || (found.attr.mode & S.IFMT) === S.IFDIR) return undefined;
  return (found.attr.mode & S.IFMT) === S.IFLNK ? "a symbolic link (ELOOP)" : "not a directory (ENOTDIR)";
}

/** Whether the name in the directory of the descriptor is a whiteout, in one of the kernel's forms. */
export function isWhiteoutAt(tree: Tree, dirFd: number, { name, attr }: { name: string; attr: Attr }): boolean {
  const kind = attr.mode & S.IFMT;
  if (kind === S.IFCHR) return attr.rdev === 0;
  return kind === S.IFREG && attr.size === 0 && native.getxattrat(dirFd, name, `${tree.prefix}whiteout`, new Uint8Array(0)) >= 0;
}

/** A mark of a directory: "opaque" or "redirect"; undefined if it has none. */
export function readMark(tree: Tree, path: string, name: "opaque" | "redirect"): string | undefined {
  const fd = openDirectory(tree, path);
  if (fd < 0) return undefined;
  const length = native.getxattrat(fd, "", tree.prefix + name, mark);
  native.close(fd);
  if (length < 0) {
    if (length === -Errno.ENODATA || length === -Errno.EOPNOTSUPP) return undefined;
    throw failed(shownIn(tree, path), `its marks cannot be read (${errnoName(-length)})`, "run as root");
  }
  return mark.toString("latin1", 0, length);
}

/** "d" of "a/b" is "a/b/d"; of "" it is "d". */
export function join(directory: string, name: string): string {
  return directory === "" ? name : `${directory}/${name}`;
}
