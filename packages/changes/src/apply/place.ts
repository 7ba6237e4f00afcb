/** The places of an apply: the directory that it changes, the upper layer that the changes leave, and the session's own directory. */
import type { Tree } from "@sluice/layer-tools";
import { inDirectory, native, openBeneath, removeTree } from "@sluice/native";
import { escapeName, failed } from "@sluice/runtime/cli";
import { AT, Attr, Errno, errnoName, O, RENAME, S } from "@sluice/vfs";

const OWNER_RWX = 0o700;
const MODE_BITS = 0o7777;

/** As packages/sessions keeps them. */
export type RestoredFile = [path: string, identity: string, changed: string[]];

/** Files that applies of all sessions of the directory moved away, and back. */
export interface Restorations {
  list(): readonly RestoredFile[];
  add(files: readonly RestoredFile[]): void;
}

export interface Place {
  /** Of the session. */
  readonly name: string;
  /** The directory that the changes go to. */
  readonly base: Tree;
  /** It is not the directory that the session began on, but one that somebody made at its path. */
  readonly isOtherBase?: boolean | undefined;
  readonly upper: Tree;
  /** The layers of a forked session between the two, the topmost first. Nothing is applied or undone while there are any. */
  readonly frozen?: readonly Tree[];
  /** The directory as the session shows it, if it does not change with the directory. */
  readonly snapshot?: Tree | undefined;
  /** Descriptors of the records of the base that its mounts wrote, the oldest first. */
  readonly records?: readonly number[];
  /** Undefined: nobody knows of other sessions of the directory. */
  readonly restored?: Restorations | undefined;
  /** See `Known`. */
  readonly begun?: bigint | undefined;
  /** The session's directory: it belongs to the session's owner alone. */
  readonly directory: { readonly fd: number; readonly path: string };
}

/** In the session's directory: an apply under way, the last one, and the remains of one that was undone. */
export const APPLY = "apply";
export const UNDO = "undo";
export const REMAINS = "undo.remains";

/** In the directory, if the session lies on another mount: the replaced files of an apply. The rest of the name is drawn. */
export const SLOTS_IN_BASE = ".sluice-apply-";

export type UseName = (directoryFd: number, name: string) => number;

const statInto =
  ({ words }: Attr): UseName =>
  (directory, name) =>
    native.statx(directory, name, AT.SYMLINK_NOFOLLOW, words);

/** The attributes of a name that is not followed, in `attr`; undefined if there is none. @throws CliError */
export function look(fd: number, path: string, attr = new Attr()): Attr | undefined {
  return found(inDirectory(fd, path, statInto(attr)), path) ? attr : undefined;
}

/** @returns whether the name exists. @throws CliError */
function found(status: number, path: string): boolean {
  if (status >= 0) return true;
  if (status === -Errno.ENOENT || status === -Errno.ENOTDIR || status === -Errno.ELOOP) return false;
  throw failed(path, `it cannot be read (${errnoName(-status)})`, "check its permissions");
}

/** Keeps the directory of the last path open, since paths come directory by directory. A change of the directory's own path is seen late. */
export class LastDirectory {
  readonly #root: number;
  #path = "";
  #fd: number;

  constructor(root: number) {
    this.#root = root;
    this.#fd = root;
  }

  /** As `inDirectory`. */
  at(path: string, use: UseName): number {
    const slash = path.lastIndexOf("/");
    const directory = slash < 0 ? "" : path.slice(0, slash);
    if (directory !== this.#path || this.#fd < 0) {
      this.close();
      this.#fd = directory === "" ? this.#root : openBeneath(this.#root, directory, O.PATH | O.DIRECTORY, 0);
      this.#path = directory;
    }
    return this.#fd < 0 ? this.#fd : use(this.#fd, path === "" ? "." : path.slice(slash + 1));
  }

  /** As `look`. @throws CliError */
  look(path: string, attr = new Attr()): Attr | undefined {
    return found(this.at(path, statInto(attr)), path) ? attr : undefined;
  }

  close(): void {
    if (this.#fd >= 0 && this.#fd !== this.#root) native.close(this.#fd);
    this.#fd = -1;
  }
}

export function exists(fd: number, path: string): boolean {
  return look(fd, path) !== undefined;
}

/** @throws CliError */
export function must(status: number, path: string, problem: string): number {
  if (status >= 0) return status;
  const permissions = status === -Errno.EPERM ? "check its permissions and flags (lsattr)" : "check its permissions";
  const remedy = status === -Errno.EROFS ? "mount its disk for writing" : `${permissions}, and the room on its disk`;
  throw failed(path, `${problem} (${errnoName(-status)})`, remedy);
}

/** An open directory; undefined if it does not exist. */
export function openIn(fd: number, path: string): number | undefined {
  const opened = openBeneath(fd, path, O.RDONLY | O.DIRECTORY, 0);
  if (opened === -Errno.ENOENT) return undefined;
  return must(opened, path, "the directory cannot be opened");
}

/** Gives the owner of a directory its rights in it. */
function openUp(fd: number, path: string): void {
  const directory = openBeneath(fd, path, O.PATH | O.DIRECTORY, 0);
  if (directory < 0) return;
  native.fchmodat(directory, "", OWNER_RWX, AT.EMPTY_PATH);
  native.close(directory);
}

/** STATX_ATTR_IMMUTABLE and STATX_ATTR_APPEND. */
const PROTECTED = 0x30;

/** Nobody may move or change the object. A name that comes into such a directory can never leave it. */
export const isProtected = ({ attributes }: Attr): boolean => (attributes & PROTECTED) !== 0;

/** The owner may not move such a directory, nor take entries out of it. */
export const isClosed = ({ mode }: Attr): boolean => (mode & S.IFMT) === S.IFDIR && (mode & OWNER_RWX) !== OWNER_RWX;

/** Gives a directory that `moveOwn` opened its mode back, if it is there. Without need the kernel could take its setgid bit away. */
export function closeAgain(fd: number, path: string, mode: number): void {
  const attr = look(fd, path);
  if (attr === undefined || (attr.mode & MODE_BITS) === mode) return;
  inDirectory(fd, path, (directory, name) => native.fchmodat(directory, name, mode, AT.SYMLINK_NOFOLLOW));
}

/** A name in an open directory. */
interface Entry {
  directory: number;
  name: string;
}

/**
 * Moves an object of the session, if nothing has the new name. Its owner may move a directory without write permission only after a chmod: the
 * record has its mode, so that the next command puts it back. @returns the negative errno of a failure
 */
export function moveOwn(from: Entry, to: Entry): number {
  const move = (): number => native.renameat2(from.directory, from.name, to.directory, to.name, RENAME.NOREPLACE);
  const status = move();
  const directory = status === -Errno.EACCES ? openBeneath(from.directory, from.name, O.PATH | O.DIRECTORY, 0) : status;
  if (status !== -Errno.EACCES || directory < 0) return status;
  try {
    const attr = new Attr();
    if (native.statx(directory, "", AT.EMPTY_PATH, attr.words) < 0) return status;
    native.fchmodat(directory, "", OWNER_RWX, AT.EMPTY_PATH);
    const moved = move();
    native.fchmodat(directory, "", attr.mode & MODE_BITS, AT.EMPTY_PATH);
    return moved;
  } finally {
    native.close(directory);
  }
}

/** Removes a tree of our own, directories without write permission in it too. @throws CliError */
export function remove({ fd, path }: { fd: number; path: string }, name: string): void {
  // A disk that is mounted read-only refuses to remove a name before it looks for it (EROFS).
  if (!exists(fd, name)) return;
  let last: string | undefined;
  for (;;) {
    const removal = removeTree(fd, name);
    if (removal.status !== -Errno.EACCES || removal.path === last) {
      must(removal.status, `${path}/${escapeName(removal.path)}`, "it cannot be removed");
      return;
    }
    last = removal.path;
    openUp(fd, last);
    const slash = last.lastIndexOf("/");
    if (slash > 0) openUp(fd, last.slice(0, slash));
  }
}
