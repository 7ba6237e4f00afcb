/** Refuses case-insensitive layers: layers are merged by the exact bytes of names, and so are rules. */
import { native, parseDirents, toBytes } from "@sluice/native";
import { AT, Attr, O, S } from "@sluice/vfs";
import { unfit } from "@sluice/runtime/cli";

/** FS_CASEFOLD_FL of linux/fs.h. `chattr +F` sets it on a directory, and new directories in it inherit it. */
const CASEFOLD = 0x40000000;
/** Enough of a listing to find a name with letters. */
const SOME_BYTES = 16_384;

/** @param flags FS_IOC_GETFLAGS, or a negative errno if the file system has none. @throws CliError */
export function checkFolding(flags: number, path: string, role: string): void {
  if (flags < 0 || (flags & CASEFOLD) === 0) return;
  throw unfit(path, `names in this ${role} are case-insensitive (casefold)`, "name a directory without chattr +F");
}

/** `path` is a readable directory, and `name` the one that a person gave. @throws CliError */
export function checkCase(path: string, role: string, name = path): void {
  const fd = native.openat(AT.FDCWD, toBytes(path), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  if (fd < 0) return;
  try {
    checkFolding(native.getFlags(fd), name, role);
    if (!findsOtherCase(fd, someNames(path))) return;
  } finally {
    native.close(fd);
  }
  const remedy = "put it on a file system that tells upper and lower case apart";
  throw unfit(name, `names in this ${role} are case-insensitive`, remedy);
}

/** Names of ASCII alone. None if this process may not list the directory without moving its access time. */
function someNames(path: string): string[] {
  const fd = native.openat(AT.FDCWD, toBytes(path), O.RDONLY | O.DIRECTORY | O.CLOEXEC | O.NOATIME, 0);
  if (fd < 0) return [];
  const bytes = Buffer.alloc(SOME_BYTES);
  const length = native.getdents64(fd, bytes);
  native.close(fd);
  const names: string[] = [];
  parseDirents(bytes, Math.max(0, length), (name) => names.push(name));
  return names.filter((name) => /^[\x20-\x7e]+$/.test(name));
}

const attr = new Attr();

/**
 * Does the directory find one of its names in other letters? FAT, NTFS and directories of other systems do, without a flag. Another name may
 * be there, too: it leads to another object, or to a file with several names.
 */
function findsOtherCase(fd: number, names: readonly string[]): boolean {
  const listed = new Set(names);
  for (const name of names) {
    const other = name === name.toUpperCase() ? name.toLowerCase() : name.toUpperCase();
    if (other === name || listed.has(other)) continue;
    if (native.statx(fd, other, AT.SYMLINK_NOFOLLOW, attr.words) < 0) return false;
    const [ino, major, minor] = [attr.ino, attr.devMajor, attr.devMinor];
    const mayBeLink = attr.nlink > 1 && (attr.mode & S.IFMT) !== S.IFDIR;
    if (mayBeLink || native.statx(fd, name, AT.SYMLINK_NOFOLLOW, attr.words) < 0) continue;
    return attr.ino === ino && attr.devMajor === major && attr.devMinor === minor;
  }
  return false;
}
