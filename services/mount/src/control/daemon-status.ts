/** What the process that serves a mount says of itself, for who can do without. */
import { ask, connectControl } from "./control-client.js";
import type { MountStatus } from "./control-protocol.js";

/** Undefined where none answers, or where it may not be asked. */
export async function daemonStatus(mountpoint: string): Promise<MountStatus | undefined> {
  try {
    const socket = await connectControl(mountpoint, undefined);
    if (socket === undefined) return undefined;
    for await (const item of ask(socket, { method: "status" }, mountpoint, false)) return item as MountStatus;
  } catch {
    // Of another user, or about to end: whoever asks does without.
  }
  return undefined;
}
