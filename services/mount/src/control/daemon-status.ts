/** What the process that serves a mount says of itself, for who can do without. */
import { askOnce } from "./control-client.js";
import type { MountStatus } from "./control-protocol.js";

/** Undefined where none answers, or where it may not be asked. */
export async function daemonStatus(mountpoint: string): Promise<MountStatus | undefined> {
  try {
    return (await askOnce(mountpoint, undefined, { method: "status" })) as MountStatus;
  } catch {
    // Nobody, somebody of another user, or about to end: whoever asks does without.
    return undefined;
  }
}
