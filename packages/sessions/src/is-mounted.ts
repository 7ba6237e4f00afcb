/** Tells whether a mount has the upper layer of a session: that of a command whose runner was killed, or one that a person made. */
import { LOCK, native, openBeneath } from "@sluice/native";
import { Errno, O } from "@sluice/vfs";
import { TAKEN } from "./layers.js";
import type { Place } from "./state-directory.js";

/** A mount locks its upper layer (packages/keeper-link, claim-upper.ts). The session is locked, so no command mounts it at this moment. */
export function isMounted({ fd }: Place): boolean {
  return ["upper", `${TAKEN}/upper`].some((name) => {
    const upper = openBeneath(fd, name, O.RDONLY | O.DIRECTORY, 0);
    if (upper < 0) return false;
    const status = native.flock(upper, LOCK.SH | LOCK.NB);
    native.close(upper);
    return status === -Errno.EAGAIN;
  });
}
