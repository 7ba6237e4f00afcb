/** `sluice volume-plugin`: serves Docker's volume plugin protocol until it is told to stop. Mounts outlive it. */
import { resolve } from "node:path";
import { CliError, createLogger, escapeLine, EXIT, type LogLevel } from "@sluice/runtime";
import { startPluginServer } from "./plugin-server.js";
import { MountCommand, type SluiceCommand } from "./sluice-command.js";
import { VolumeStore } from "./volume-store.js";
import { Volumes } from "./volumes.js";

export interface VolumePluginFlags {
  socket: string;
  root: string;
  host: string;
  logLevel: LogLevel;
  logFile?: string;
}

export async function serveVolumes(flags: VolumePluginFlags, command: SluiceCommand): Promise<void> {
  if (process.geteuid?.() !== 0)
    throw new CliError({
      object: "volume-plugin",
      problem: "it needs root",
      errno: "EPERM",
      remedy: "run it as root: it mounts",
      exitCode: EXIT.MACHINE,
    });
  const log = createLogger({ name: "sluice-volume-plugin", level: flags.logLevel, file: flags.logFile });
  const { root, host } = flags;
  const volumes = new Volumes({ root, host, store: new VolumeStore(root), command: new MountCommand(command), log });
  // Node takes a number for a TCP port, which everybody may use.
  const socket = resolve(flags.socket);
  const server = await startPluginServer(socket, volumes, log);
  const told = new Promise<void>((stop) => {
    process.once("SIGTERM", stop);
    process.once("SIGINT", stop);
  });
  process.stdout.write(`volumes at ${escapeLine(socket)}\n`);
  await volumes.recover();
  await told;
  await server.close();
}
