/** The end of a server whose mount goes on: another one takes it over. */
import type { Logger } from "@sluice/runtime";
import type { Engine } from "@sluice/vfs";
import type { Kept } from "../serve/mount-context.js";

/** How long requests may take that were read, before they are left to the next server. */
const HAND_OVER_MS = 5_000;

export interface Leaving {
  kept: Kept;
  engine: Engine;
  logger: Logger;
  /** Removes the sockets that are this server's own: the next one makes its own in their place. */
  removeOwn(): void;
}

/** Another server goes on from what is written down and stored: nothing is taken apart, and what still waits comes to it again. */
async function handOver({ kept, engine, logger, removeOwn }: Leaving): Promise<never> {
  const idle = await engine.drain?.(HAND_OVER_MS);
  logger.info({ idle, inFlight: engine.inFlight() }, "handed over to another server");
  removeOwn();
  kept.link.handOver();
  process.exit(0);
}

/**
 * When the keeper says so. Of a server that joined its keeper also by signal: whoever stops that one (to make its container
 * anew, say) wants another one in its place, and not the mount gone.
 */
export function leaveToTheNext(parts: Leaving): void {
  const { kept } = parts;
  let leaving = false;
  const leave = (): void => {
    if (leaving) return;
    leaving = true;
    void handOver(parts);
  };
  kept.link.onDrain(leave);
  if (kept.joined) for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, leave);
}
