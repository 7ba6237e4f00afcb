/** Intended differences that tests of xfstests detect, with their cost for users. docs/differences.md shows the table. */

export interface SuiteDifference {
  tests: string;
  difference: string;
  reason: string;
}

export const suiteDifferences: readonly SuiteDifference[] = [
  {
    tests: "overlay/049, 059",
    difference: "copies of marked objects are shown",
    reason:
      "A copy that somebody made in the upper layer (cp -a) carries the mark of its origin. The kernel answers ESTALE for the second object; Sluice shows it with an inode number of its own.",
  },
  {
    tests: "overlay/012",
    difference: "ENOENT or another object instead of ESTALE",
    reason:
      "Somebody removes an object from the upper layer of a mount. The kernel answers ESTALE for its name as long as it remembers the object; Sluice shows the current content of the layers.",
  },
  {
    tests: "overlay/035",
    difference: "an unwritable work directory is refused",
    reason:
      "The kernel mounts read-only and logs a line. Sluice does not mount, so a user who asks for an upper layer learns at once that it is not writable. A mount without upper= and work= is read-only.",
  },
  {
    tests: "overlay/036",
    difference: "an upper layer or a mount point in use is refused",
    reason:
      "With index=off the kernel lets two mounts share an upper layer, with undefined results, and mounts over itself. Sluice answers EBUSY in each mode.",
  },
  {
    tests: "overlay/038",
    difference: "a look-up writes no marks",
    reason:
      "When an upper directory with the name of a lower one is looked up, the kernel adds origin and impure marks to it. Sluice writes marks only when it copies up or moves something. Inode numbers in listings are still those of stat(2).",
  },
  {
    tests: "overlay/081",
    difference: "the mount has no file system id and no UUID",
    reason:
      "FUSE transfers no f_fsid (fs/fuse/inode.c convert_fuse_statfs), and FS_IOC_GETFSUUID does not reach the daemon. fanotify(7) cannot mark the mount by file system id; programs tell it from others by st_dev.",
  },
  {
    tests: "generic/474, 599",
    difference: "syncfs(2) does not reach the layers",
    reason:
      "The kernel sends FUSE_SYNCFS only to virtiofs. sync(1) without arguments, fsync(2) and fdatasync(2) write to the disk; `sync -f` on the mount does not. The daemon will answer the request if a kernel sends it.",
  },
  {
    tests: "generic/424",
    difference: "statx(2) shows no attributes",
    reason: "FUSE transfers no stx_attributes. lsattr(1) shows immutable, append-only and other flags.",
  },
  {
    tests: "generic/676",
    difference: "directory positions that telldir(3) never returned",
    reason:
      "seekdir(3) to such a number reads from another place or reaches the end. In a merged directory, positions count entries of one list; a position in another list has no meaning in this one.",
  },
  {
    tests: "generic/003",
    difference: "strictatime on mediated files",
    reason:
      "Reads of pages in the kernel's cache do not reach the daemon and move no access time. Every other read of the upper layer moves it.",
  },
  {
    tests: "generic/451",
    difference: "asynchronous direct I/O on mediated files is done at submission",
    reason:
      "With FUSE_ASYNC_DIO, readers keep old pages during an asynchronous direct write (fs/fuse/file.c fuse_aio_complete). Sluice does not use it: io_submit(2) returns when the request is done, and the parts of a direct transfer beyond 1 MiB are sent one after another.",
  },
];
