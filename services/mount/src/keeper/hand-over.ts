/** The end of a server whose mount goes on: another server takes it over. */
import type { Logger } from "@sluice/runtime";
import type { Engine } from "@sluice/vfs";
import type { KeeperSession } from "./keeper-session.js";
import { type MountOwner, STOP_SIGNALS } from "../serve/mount-owner.js";

/** How long requests that were read may take. After that they are left to the next server. */
const HAND_OVER_MS = 5_000;

export interface Leaving {
  keeper: KeeperSession;
  owner: MountOwner;
  engine: Engine;
  logger: Logger;
  /** Makes room for the sockets of the next server. */
  leaveSockets(): void;
}

/** Another server goes on from the journal and the stored descriptors: nothing is taken apart, and it gets the unanswered requests again. */
async function drain({ engine, logger, leaveSockets }: Leaving): Promise<void> {
  const idle = await engine.drain?.(HAND_OVER_MS);
  logger.info({ idle, inFlight: engine.inFlight() }, "handed over to another server");
  leaveSockets();
}

async function handOver(parts: Leaving): Promise<never> {
  await drain(parts);
  parts.keeper.link.handOver();
  process.exit(0);
}

/**
 * Hands over when the keeper says so, or the process if it serves other mounts, too. A server that joined its keeper also does so on a signal: a person who stops it, to recreate its
 * container for instance, wants another server in its place, and the mount to stay.
 */
export function leaveToNextServer(parts: Leaving): void {
  const { keeper, owner } = parts;
  if (owner.onHandOver !== undefined) return owner.onHandOver(() => drain(parts));
  let leaving = false;
  const leave = (): void => {
    if (leaving) return;
    leaving = true;
    void handOver(parts);
  };
  keeper.link.onDrain(leave);
  if (keeper.joined) for (const signal of STOP_SIGNALS) process.on(signal, leave);
}
