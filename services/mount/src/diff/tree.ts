/** Reading layers for `sluice diff`: beneath their roots, links never followed. Nothing here writes. */
import { native, openBeneath, parseDirents } from "@sluice/native";
import { AT, Attr, Errno, errnoName, O, S } from "@sluice/vfs";
import { failed, unfit } from "../complaint.js";
import { toBytes, toText } from "../path-bytes.js";

export interface Tree {
  readonly path: string;
  readonly fd: number;
  readonly prefix: "trusted.overlay." | "user.overlay.";
}

export interface Found {
  attr: Attr;
  whiteout: boolean;
}

const DIRENT_BYTES = 65_536;
const MAX_MARK_BYTES = 8192;
const mark = Buffer.alloc(MAX_MARK_BYTES);

export function openTree(path: string, userXattr: boolean): Tree {
  const fd = native.openat(AT.FDCWD, toBytes(path), O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
  if (fd < 0) throw unfit(path, `the layer cannot be opened (${errnoName(-fd)})`, "name a directory that can be read");
  return { path, fd, prefix: userXattr ? "user.overlay." : "trusted.overlay." };
}

function openDirectory(tree: Tree, path: string): number {
  return openBeneath(tree.fd, path === "" ? "." : path, O.RDONLY | O.DIRECTORY, 0);
}

/** Names in a directory, as byte strings, sorted. */
export function namesIn(tree: Tree, path: string): string[] {
  const fd = openDirectory(tree, path);
  if (fd < 0) throw failed(`${tree.path}/${toText(path)}`, `the directory cannot be read (${errnoName(-fd)})`, "check its permissions");
  const names: string[] = [];
  const bytes = new Uint8Array(DIRENT_BYTES);
  try {
    for (;;) {
      const length = native.getdents64(fd, bytes);
      if (length < 0)
        throw failed(`${tree.path}/${toText(path)}`, `the directory cannot be read (${errnoName(-length)})`, "check its disk");
      if (length === 0) return names.sort();
      parseDirents(bytes, length, (name) => {
        if (name !== "." && name !== "..") names.push(name);
      });
    }
  } finally {
    native.close(fd);
  }
}

/** One name of a directory; undefined where it is not there, or its directory is not. */
export function find(tree: Tree, directory: string, name: string): Found | undefined {
  const fd = openBeneath(tree.fd, directory === "" ? "." : directory, O.PATH | O.DIRECTORY, 0);
  if (fd < 0) return undefined;
  const attr = new Attr();
  const status = native.statx(fd, name, AT.SYMLINK_NOFOLLOW, attr.words);
  const whiteout = status === 0 && isWhiteoutAt(tree, fd, { name, attr });
  native.close(fd);
  return status < 0 ? undefined : { attr, whiteout };
}

/** Is the name, in the directory of the descriptor, a whiteout in one of the kernel's forms? */
export function isWhiteoutAt(tree: Tree, dirFd: number, { name, attr }: { name: string; attr: Attr }): boolean {
  const kind = attr.mode & S.IFMT;
  if (kind === S.IFCHR) return attr.rdev === 0;
  return kind === S.IFREG && attr.size === 0 && native.getxattrat(dirFd, name, `${tree.prefix}whiteout`, new Uint8Array(0)) >= 0;
}

/** A mark of a directory: "opaque" or "redirect"; undefined where it has none. */
export function readMark(tree: Tree, path: string, name: "opaque" | "redirect"): string | undefined {
  const fd = openDirectory(tree, path);
  if (fd < 0) return undefined;
  const length = native.getxattrat(fd, "", tree.prefix + name, mark);
  native.close(fd);
  if (length < 0) {
    if (length === -Errno.ENODATA || length === -Errno.EOPNOTSUPP) return undefined;
    throw failed(`${tree.path}/${toText(path)}`, `its marks cannot be read (${errnoName(-length)})`, "run as root");
  }
  return mark.toString("latin1", 0, length);
}

/** "d" of "a/b" is "a/b/d"; of "" it is "d". */
export function join(directory: string, name: string): string {
  return directory === "" ? name : `${directory}/${name}`;
}
