/** The decisions that a mount enforced, by its control socket. */
import { ask, connectControl, type LogItem, noDaemon } from "@sluice/mount-control";
import type { Place } from "../places.js";

/** The newest decisions; with `follow` those of each later second, until the mount ends. A server that takes over goes on. */
export async function* mountLog({ mountpoint, control }: Place, follow: boolean): AsyncGenerator<LogItem, void, undefined> {
  for (let first = true; ; first = false) {
    const socket = await connectControl(mountpoint, control);
    if (socket === undefined && !first) return;
    if (socket === undefined) throw noDaemon(mountpoint, control);
    const ended = yield* ask(socket, { method: "log", watch: follow }, mountpoint) as AsyncGenerator<LogItem, boolean, undefined>;
    if (ended || !follow) return;
  }
}
