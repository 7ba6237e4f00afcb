/** Tells whether a mount has the upper layer of a session: that of a command whose runner was killed, or one that a person made. */
import { LOCK, native, openBeneath } from "@sluice/native";
import { Errno, O } from "@sluice/vfs";
import { TAKEN } from "./layers.js";
import type { Place } from "./state-directory.js";

/**
 * A mount locks its upper layer and its work directory (packages/keeper-link, claim-upper.ts). The mode of the upper one is that of the directory
 * in the view, and may close it to its owner. The session is locked, so no command mounts it at this moment.
 */
export function isMounted({ fd }: Place): boolean {
  return ["work", `${TAKEN}/work`].some((name) => {
    const work = openBeneath(fd, name, O.RDONLY | O.DIRECTORY, 0);
    if (work < 0) return false;
    const status = native.flock(work, LOCK.SH | LOCK.NB);
    native.close(work);
    return status === -Errno.EAGAIN;
  });
}
