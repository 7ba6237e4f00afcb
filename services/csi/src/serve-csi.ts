/** `sluice csi`: serves the Container Storage Interface until it is told to stop. Volumes outlive it: the host service has their mounts. */
import { chmodSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { createLogger, type Logger, type LogLevel } from "@sluice/runtime";
import { codeOf, lacking, makeDirectories, removeDeadSocket, wrong } from "@sluice/runtime/cli";
import { readDriverConfig } from "./config/driver-config.js";
import { ControllerService, IdentityService, NodeService } from "./gen/csi/v1/csi.js";
import { controllerHandlers } from "./grpc/controller-handlers.js";
import { identityHandlers } from "./grpc/identity-handlers.js";
import { nodeHandlers } from "./grpc/node-handlers.js";
import { NodeVolumes } from "./volumes/node-volumes.js";

export interface CsiFlags {
  endpoint: string;
  driverName: string;
  nodeId?: string;
  config: string;
  hostService: string;
  kubeletDir: string;
  stateDir: string;
  serviceAccount: string;
  controllerOnly?: boolean;
  logLevel: LogLevel;
  logFile?: string;
}

const UNIX = "unix://";
const SWEEP_MS = 3_600_000;
const LAST_ANSWERS_MS = 10_000;
const MAX_MESSAGE_BYTES = 1 << 20;
const DRIVER_NAME = /^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?$/;

function socketOf(endpoint: string): string {
  if (endpoint.startsWith(`${UNIX}/`)) return endpoint.slice(UNIX.length);
  throw wrong(`--endpoint ${endpoint}`, "it is not a unix socket", "write unix:///csi/csi.sock");
}

function listen(server: Server, path: string): Promise<void> {
  makeDirectories(dirname(path));
  // A killed driver leaves its socket behind, and the kubelet knows the path.
  removeDeadSocket(path, "--endpoint");
  return new Promise((resolve, reject) => {
    // A user who may write to it can publish any source, so it is for root alone, from its first moment.
    const mask = process.umask(0o177);
    server.bindAsync(`${UNIX}${path}`, ServerCredentials.createInsecure(), (error) => {
      process.umask(mask);
      if (error !== null) {
        reject(wrong(`--endpoint ${UNIX}${path}`, `the socket cannot be made (${codeOf(error)})`, "choose another place"));
        return;
      }
      chmodSync(path, 0o600);
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, LAST_ANSWERS_MS);
    server.tryShutdown(() => {
      clearTimeout(cut);
      resolve();
    });
  });
}

function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve());
    process.once("SIGINT", () => resolve());
  });
}

function checkFlags({ driverName, nodeId, controllerOnly }: CsiFlags): void {
  if (!DRIVER_NAME.test(driverName))
    throw wrong("--driver-name", "it is not a domain name of at most 63 characters", "write for instance csi.sluice");
  if (controllerOnly === true) return;
  if (nodeId === undefined || nodeId === "") throw wrong("--node-id", "it is missing", "give the name of the node");
  if (process.geteuid?.() !== 0) throw lacking("csi", "it needs root (EPERM)", "run it as root: it mounts");
}

function nodeVolumes(flags: CsiFlags, log: Logger): NodeVolumes {
  // A mistake in the file is found at the start, and not by the first pod.
  readDriverConfig(flags.config);
  const { kubeletDir: kubeletDirectory, stateDir: stateDirectory, hostService: hostSocket, config: configFile } = flags;
  const { serviceAccount: serviceAccountDirectory } = flags;
  return new NodeVolumes({ kubeletDirectory, stateDirectory, hostSocket, configFile, serviceAccountDirectory }, log);
}

/** Returns when it was told to stop. @throws CliError */
export async function serveCsi(flags: CsiFlags): Promise<void> {
  checkFlags(flags);
  const socket = socketOf(flags.endpoint);
  const log = createLogger({ name: "csi", level: flags.logLevel, file: flags.logFile });
  const volumes = flags.controllerOnly === true ? undefined : nodeVolumes(flags, log);
  const server = new Server({ "grpc.max_receive_message_length": MAX_MESSAGE_BYTES });
  server.addService(IdentityService, identityHandlers(log, flags.driverName, volumes === undefined));
  if (volumes === undefined) server.addService(ControllerService, controllerHandlers(log));
  else server.addService(NodeService, nodeHandlers(log, flags.nodeId ?? "", volumes));
  const stopped = untilStopped();
  await listen(server, socket);
  process.stdout.write(`serves volumes at ${socket}\n`);
  await volumes?.sweep();
  const sweeping = setInterval(() => void volumes?.sweep(), SWEEP_MS);
  await stopped;
  clearInterval(sweeping);
  await close(server);
  rmSync(socket, { force: true });
}
