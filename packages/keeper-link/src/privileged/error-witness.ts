/**
 * A witness of writeback errors on the upper layer's file system, which itself writes nothing back: a kernel overlayfs, volatile and
 * mounted nowhere, whose upper layer lies on that file system. Its fsync(2) does no I/O, and reports the first error since it was mounted,
 * for good (fs/overlayfs/super.c ovl_sync_status). There is no other way to ask: syncfs(2) reports only after it has written everything.
 */
import { native } from "@sluice/native";
import { Errno, O } from "@sluice/vfs";
import type { OpenLayer } from "../keeper-link.js";

/** In the scratch directory, which is emptied later: only mounting needs the directories. */
const SCRATCH = "work";
const PARTS = { lowerdir: "l", upperdir: "u", workdir: "w" } as const;
const READ_DIRECTORY = O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC;

/** A descriptor to fsync; or the negative errno if there can be none: without overlayfs in the kernel, or on a stack that is too deep. */
export function openErrorWitness(work: OpenLayer): number {
  const made = native.mkdirat(work.rootFd, SCRATCH, 0o700);
  if (made < 0 && made !== -Errno.EEXIST) return made;
  return within(native.openat(work.rootFd, SCRATCH, READ_DIRECTORY, 0), (scratch) => {
    const name = `#witness-${process.pid}-${Date.now()}`;
    const status = native.mkdirat(scratch, name, 0o700);
    return status < 0 ? status : within(native.openat(scratch, name, READ_DIRECTORY, 0), mountIn);
  });
}

/** Closes the descriptor afterwards. */
function within(fd: number, use: (fd: number) => number): number {
  if (fd < 0) return fd;
  const result = use(fd);
  native.close(fd);
  return result;
}

function mountIn(home: number): number {
  return within(native.fsopen("overlay"), (context) => {
    for (const [key, name] of Object.entries(PARTS)) {
      const made = native.mkdirat(home, name, 0o700);
      const status = made < 0 ? made : native.fsconfig(context, key, `/proc/self/fd/${home}/${name}`);
      if (status < 0) return status;
    }
    const status = native.fsconfig(context, "volatile", "");
    if (status < 0) return status;
    return within(native.fsmount(context), (mounted) => native.openat(mounted, ".", READ_DIRECTORY, 0));
  });
}
