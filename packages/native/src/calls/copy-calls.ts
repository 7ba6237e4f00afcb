/** The steps of a copy-up, each a sequence of calls on a copy that nobody else knows yet. See binding.ts for their conventions. */
import type { FileOffset } from "../binding.js";

export interface CopyCalls {
  copyFileRangeAsync(source: number, sourceOffset: FileOffset, target: number, targetOffset: FileOffset, length: number): Promise<number>;
  /** ioctl FICLONE: `target` becomes a reflink of `source`. */
  ficlone(target: number, source: number): number;
  ficloneAsync(target: number, source: number): Promise<number>;
  /**
   * Makes a file for reading and writing (O_EXCL) with `mode`, without suid and sgid, and copies the first `length` bytes of `source` at
   * once: by FICLONE, if `clone` and the file system can, else by reading and writing. Its descriptor; -EIO if the source ends before.
   * A file whose bytes could not be copied is gone again.
   */
  makeCopy(dirfd: number, name: string, mode: number, source: number, length: FileOffset, clone: boolean): number;
  /**
   * Gives `target` the owner, mode, times and FS_SYNC_FL and FS_NOATIME_FL of a file (of another object its owner, mode and times), as
   * far as it has not got them. `words` are those of statx of `source`. 1 if the source has extended attributes: then only the owner is
   * set, since they belong between owner and mode.
   */
  copyAttributes(target: number, source: number, words: Uint32Array): number;
  /** FS_SYNC_FL and FS_NOATIME_FL, if both file systems have them. */
  copyFlags(target: number, source: number): number;
  /**
   * Completes a mark of overlayfs (struct ovl_fb) by the handle and type of `source`, and writes it to `target`. `mark` has room for the
   * longest one, up to 255 bytes; its third byte is its length then, 0 if the file system has no handles.
   */
  copyOrigin(target: number, source: number, attribute: string, mark: Uint8Array): number;
  /** Reads and writes the first `length` bytes of a file; the count of bytes, which is lower if the source ends before. */
  copyBytes(target: number, source: number, length: number): number;
  /** fchmodat2(2), unless of a symlink, and utimensat(2) of a descriptor's own object: mode, atime and mtime as `words` of statx have them. */
  setModeAndTimes(fd: number, words: Uint32Array): number;
  /** renameat2(2) with RENAME_NOREPLACE into a directory whose atime and mtime stay as they are. */
  moveKeepingTimes(fromDirfd: number, fromName: string, intoDirfd: number, intoName: string): number;
}
