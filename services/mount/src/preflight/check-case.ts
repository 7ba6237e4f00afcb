/** Refuses case-insensitive layers: layers are merged by the exact bytes of names. */
import { native, toBytes } from "@sluice/native";
import { AT, O } from "@sluice/vfs";
import { unfit } from "@sluice/runtime/cli";

/** FS_CASEFOLD_FL of linux/fs.h. `chattr +F` sets it on a directory, and new directories in it inherit it. */
const CASEFOLD = 0x40000000;

/** @param flags FS_IOC_GETFLAGS, or a negative errno if the file system has none. @throws CliError */
export function checkFolding(flags: number, path: string, role: string): void {
  if (flags < 0 || (flags & CASEFOLD) === 0) return;
  throw unfit(path, `names in this ${role} are case-insensitive (casefold)`, "name a directory without chattr +F");
}

/** `path` is a readable directory, and `name` the one that a person gave. @throws CliError */
export function checkCase(path: string, role: string, name = path): void {
  const fd = native.openat(AT.FDCWD, toBytes(path), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  if (fd < 0) return;
  const flags = native.getFlags(fd);
  native.close(fd);
  checkFolding(flags, name, role);
}
