/** Which process serves a mount: asked of itself. */
import { ask, connectControl } from "./control-client.js";
import type { MountStatus } from "./control-protocol.js";

/** Undefined where none answers, or where it may not be asked. */
export async function daemonPid(mountpoint: string): Promise<number | undefined> {
  try {
    const socket = await connectControl(mountpoint, undefined);
    if (socket === undefined) return undefined;
    for await (const item of ask(socket, { method: "status" }, mountpoint, false)) return (item as MountStatus).pid;
  } catch {
    // Of another user, or about to end: whoever asks does without.
  }
  return undefined;
}
