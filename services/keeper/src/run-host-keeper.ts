/** The keeper of a service of many mounts: it holds all of them and the socket for clients, so that both outlive each service. */
import { rmSync } from "node:fs";
import type { HostKeeperConfig } from "./keeper-config.js";
import { HeldMounts } from "./held-mounts.js";
import { supervise } from "./run-keeper.js";
import { prepare, SocketsDirectory } from "./setup.js";

/** Runs the keeper until the service was told to end, and no mount is left. @returns the exit code */
export async function runHostKeeper({ socket, ownsSocket, places, ...config }: HostKeeperConfig): Promise<number> {
  const directory = new SocketsDirectory(config.runDirectory, undefined);
  try {
    const unprepared = prepare(socket);
    if (unprepared === 0) return await supervise({ ...config, held: new HeldMounts(socket, places), graceMs: undefined }, directory);
    directory.remove();
    return unprepared;
  } finally {
    if (ownsSocket) rmSync(socket, { force: true });
  }
}
