/** `sluice serve`: one process that serves many mounts, and makes and ends them as clients ask it to by gRPC. */
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { wire } from "@sluice/host-api";
import { createLogger, type LogLevel } from "@sluice/runtime";
import { failed } from "@sluice/runtime/cli";
import type { MountHost } from "../mount-host.js";
import { checkMachine, requiredCapabilities } from "../preflight/check-machine.js";
import { hardenProcess } from "../privilege/harden-process.js";
import { onStopSignals } from "../serve/mount-owner.js";
import { type ParseSpec, hostHandlers } from "./host-handlers.js";
import { gidOf, type HostSocket, listenForClients, passedSocket } from "./host-listener.js";
import { startHostAdmin } from "./host-metrics.js";
import { HostedMounts } from "./hosted-mounts.js";
import { SharedDecisions } from "./shared-decisions.js";

export interface HostOptions {
  /** An absolute path. */
  socket: string;
  /** By name or number; undefined: only root may use the service. */
  group: string | undefined;
  /** HOST:PORT; undefined: none. */
  admin: string | undefined;
  logLevel: LogLevel;
  logFile: string | undefined;
}

export interface HostProgram extends Pick<MountHost, "startEmbeddedDecision"> {
  parse: ParseSpec;
}

/** How long the last answers may take. */
const LAST_ANSWERS_MS = 1_000;
const MAX_MESSAGE_BYTES = 4 << 20;

/** Loads what every mount needs: loading it for the first mount would keep its caller waiting. */
async function loadAhead(): Promise<void> {
  await Promise.all([import("../setup/start-filesystem.js"), import("@sluice/decision-client/connect")]);
}

interface HostServer {
  close(): Promise<void>;
}

async function startServer(socket: HostSocket, mounts: HostedMounts, parse: ParseSpec): Promise<HostServer> {
  const server = new Server({ "grpc.max_receive_message_length": MAX_MESSAGE_BYTES });
  server.addService(wire.HostServiceService, hostHandlers(mounts, parse));
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = await listenForClients(socket, (client) => injector.injectConnection(client));
  return {
    close: () =>
      new Promise((resolve) => {
        listener.close();
        const cut = setTimeout(() => {
          server.forceShutdown();
          resolve();
        }, LAST_ANSWERS_MS);
        server.tryShutdown(() => {
          clearTimeout(cut);
          resolve();
        });
      }),
  };
}

/** Returns when it was told to stop and no mount is left. @throws CliError if it cannot serve, or had to cut off users of a mount */
export async function serveHost(options: HostOptions, program: HostProgram): Promise<void> {
  checkMachine(requiredCapabilities(true));
  const { socket: path, group, admin, logLevel, logFile } = options;
  const [passed, gid] = [passedSocket(), group === undefined ? undefined : gidOf(group)];
  const logger = createLogger({ name: "host", level: logLevel, file: logFile });
  hardenProcess(logger, { hasKeeper: false, keep: passed === undefined ? [] : [passed] });
  const decisions = new SharedDecisions(program.startEmbeddedDecision, logger);
  const mounts = new HostedMounts(logger, { startEmbeddedDecision: decisions.start });
  let stopping = false;
  const stopped = new Promise<void>((resolve) =>
    onStopSignals(() => {
      stopping = true;
      mounts.stop();
      resolve();
    }),
  );
  await loadAhead();
  const server = await startServer({ path, passed, gid, logger }, mounts, program.parse);
  const adminServer = admin === undefined ? undefined : await startHostAdmin(admin, mounts, () => (stopping ? "draining" : undefined));
  process.stdout.write(`serves mounts at ${path}\n`);
  await stopped;
  const errors = await mounts.ended();
  await Promise.all([server.close(), adminServer?.close()]);
  if (errors.length > 0) throw failed("serve", `${errors.length} mounts did not end in order`, "see the log");
}
