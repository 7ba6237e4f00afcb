/** The keeper of a service of many mounts: it holds all of them and the socket for clients, so that both outlive each service. */
import { rmSync } from "node:fs";
import type { HostKeeperConfig } from "./keeper-config.js";
import { HeldMounts } from "./held-mounts.js";
import { supervise } from "./run-keeper.js";
import { prepare, SocketsDirectory } from "./setup.js";

/** Runs the keeper until the service was told to end, and no mount is left. @returns the exit code */
export async function runHostKeeper({ socket, ownsSocket, places, others, ...config }: HostKeeperConfig): Promise<number> {
  const directory = new SocketsDirectory(config.runDirectory, undefined);
  try {
    const unprepared = prepare(socket);
    if (unprepared === 0) {
      const service = (name: string) => ({ held: new HeldMounts(name, places), graceMs: undefined });
      const further = others.map((other, at) => ({ ...config, passFds: [], ...other, ...service(`${socket}, process ${at + 2}`) }));
      return await supervise({ ...config, ...service(socket) }, directory, { others: further });
    }
    directory.remove();
    return unprepared;
  } finally {
    if (ownsSocket) rmSync(socket, { force: true });
  }
}
