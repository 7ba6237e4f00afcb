/** Layers are merged by names as they are written: one that takes `A` and `a` for the same name cannot be among them. */
import { native, toBytes } from "@sluice/native";
import { AT, O } from "@sluice/vfs";
import { unfit } from "@sluice/runtime/cli";

/** FS_CASEFOLD_FL of linux/fs.h, which `chattr +F` sets on a directory and what is made in it inherits. */
const CASEFOLD = 0x40000000;

/** @param flags FS_IOC_GETFLAGS, or a negative errno where the file system has none. Throws CliError. */
export function checkFolding(flags: number, path: string, role: string): void {
  if (flags < 0 || (flags & CASEFOLD) === 0) return;
  throw unfit(path, `this ${role} does not tell names apart by case (casefold)`, "name a directory that chattr +F was not used on");
}

/** `path` is a directory that was seen to be readable. */
export function checkCase(path: string, role: string): void {
  const fd = native.openat(AT.FDCWD, toBytes(path), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  if (fd < 0) return;
  const flags = native.getFlags(fd);
  native.close(fd);
  checkFolding(flags, path, role);
}
