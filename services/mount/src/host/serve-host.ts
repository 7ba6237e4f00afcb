/** `sluice serve`: one process that serves many mounts, and makes and ends them as clients ask it to by gRPC. */
import type { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { wire } from "@sluice/host-api";
import { usersSocketOf } from "@sluice/host-api/socket";
import { keepMountTable, removeDeadDirectoriesLater } from "@sluice/mount-control";
import { type Greeting, openServiceLink, type ServiceLink } from "@sluice/keeper-link";
import { native } from "@sluice/native";
import { spareDescriptors } from "@sluice/overlay";
import { createLogger, type Logger, type LogLevel } from "@sluice/runtime";
import { escapeLine, failed } from "@sluice/runtime/cli";
import type { MountHost, ReadyDecisions } from "../mount-host.js";
import { checkCalls } from "../preflight/check-calls.js";
import { checkMachine, requiredCapabilities } from "../preflight/check-machine.js";
import { hardenProcess } from "../privilege/harden-process.js";
import { onStopSignals } from "../serve/mount-owner.js";
import { HostKeeper } from "./host-keeper.js";
import { answerQuestion, handleMount, type ParseSpec, hostHandlers } from "./host-handlers.js";
import { gidOf, type HostSocket, listenForClients, openHostSocket, passedSocket } from "./host-listener.js";
import { startHostAdmin } from "./host-metrics.js";
import { HostedMounts } from "./hosted-mounts.js";
import { divideClients, PlainCall } from "./plain-clients.js";
import { Division } from "./processes/divide-mounts.js";
import { OtherProcesses, questionIn } from "./processes/other-processes.js";
import { takePassed } from "./processes/passed-connections.js";
import { SharedDecisions } from "./shared-decisions.js";
import { listenForUsers } from "./users/listen-for-users.js";
import type { UserProgram } from "./users/spare-process.js";
import { UserMounts } from "./users/user-mounts.js";

export interface HostOptions {
  /** An absolute path. */
  socket: string;
  /** By name or number; undefined: only root may use the service. */
  group: string | undefined;
  /** HOST:PORT; undefined: none. */
  admin: string | undefined;
  logLevel: LogLevel;
  logFile: string | undefined;
  /** Each ordinary user may have so many mounts; 0: none. */
  userMounts: number;
  /** How many processes divide the mounts; undefined: an earlier version wrote the options. More than one need a keeper. */
  processes?: number;
}

export interface HostProgram extends Pick<MountHost, "startEmbeddedDecision" | "readyDecisions"> {
  parse: ParseSpec;
  /** Begins the mount of an ordinary user. */
  userProgram: UserProgram;
}

/** How long the last answers may take. */
const LAST_ANSWERS_MS = 1_000;
const MAX_MESSAGE_BYTES = 4 << 20;

/** Hardens the process, and loads what every mount needs: loading it for the first mount would keep its caller waiting. */
export async function prepareHost({ logLevel, logFile }: HostOptions, keep: readonly number[]): Promise<Logger> {
  const logger = createLogger({ name: "host", level: logLevel, file: logFile });
  hardenProcess(logger, { hasKeeper: false, keep });
  keepMountTable();
  await Promise.all([import("../setup/start-filesystem.js"), import("@sluice/decision-client/connect")]);
  return logger;
}

interface HostServer {
  /** Takes no further connection. */
  leave(): void;
  close(): Promise<void>;
}

export interface HostParts {
  options: HostOptions;
  program: HostProgram;
  logger: Logger;
  socket: HostSocket;
  /** The keeper, by its greeting and its socket; undefined: this process holds its mounts itself. */
  keeper?: { greeting: Greeting; socket: string };
  /** Of several processes that divide the mounts of the service; undefined: it is the only one. */
  among?: ProcessAmongOthers | undefined;
}

export interface ProcessAmongOthers {
  /** 0 takes the clients. */
  number: number;
  /** Of the first one: a socket to each other one. */
  passFds: readonly number[];
}

async function startServer({ options, program, logger, socket, among }: HostParts, mounts: HostedMounts): Promise<HostServer> {
  // A service that has had a session is about to have others, and a person waits for each.
  const onSession = (): void => void program.readyDecisions?.keep();
  const division = among === undefined ? undefined : new Division(mounts, new OtherProcesses(among.passFds));
  const handling = { mounts, parse: program.parse, onSession, division };
  const own = (client: Socket, read: Buffer): void => handleMount(handling, new PlainCall(client, read));
  if (among !== undefined && among.number > 0) return startOtherServer(socket.fd, mounts, own);
  const server = new Server({ "grpc.max_receive_message_length": MAX_MESSAGE_BYTES });
  server.addService(wire.HostServiceService, hostHandlers(handling));
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const gid = options.group === undefined ? undefined : gidOf(options.group);
  const plain = (client: Socket, read: Buffer): void => (division === undefined ? own(client, read) : division.plain(client, read, own));
  const listener = await listenForClients(socket, {
    ...{ gid, logger },
    accept: (client) => divideClients(client, { plain, grpc: (grpc) => injector.injectConnection(grpc) }),
  });
  return {
    leave: () => listener.close(),
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

/** A process that gets its clients from the first one, which has asked the kernel about them. */
function startOtherServer(over: number, mounts: HostedMounts, own: (client: Socket, read: Buffer) => void): HostServer {
  const passed = takePassed(over, (client, read) => {
    client.on("error", () => client.destroy());
    const question = questionIn(read);
    if (question === undefined) return own(client, read);
    // After the requests of the connections that came before.
    setImmediate(() => void answerQuestion({ mounts }, question).then((answer) => client.end(`${JSON.stringify(answer)}\n`)));
  });
  return { leave: () => passed.close(), close: () => Promise.resolve(passed.close()) };
}

interface Hosting {
  mounts: HostedMounts;
  /** Undefined without a keeper. */
  link: ServiceLink | undefined;
  /** Resolves when the keeper wants another process to take over. */
  replaced: Promise<void>;
}

/** The mounts of a process before this one are served from now on. */
async function openMounts({ options, program, logger, keeper, among }: HostParts): Promise<Hosting> {
  const owner = among === undefined || among.number === 0 ? options.socket : `${options.socket}, process ${among.number + 1}`;
  const decisions = new SharedDecisions(program.startEmbeddedDecision, { logger, owner });
  const host = { startEmbeddedDecision: decisions.start };
  if (keeper === undefined)
    return {
      mounts: new HostedMounts({ logger, host, keeper: undefined, isAlone: true }),
      link: undefined,
      replaced: new Promise(() => undefined),
    };
  let replace: () => void = () => undefined;
  const replaced = new Promise<void>((resolve) => (replace = resolve));
  const link = openServiceLink(keeper.greeting, {
    held: (mount) => mounts.restore(mount),
    drain: () => replace(),
    lost: () => process.exit(1),
  });
  const mounts = new HostedMounts({ logger, host, keeper: new HostKeeper(link, keeper.socket), isAlone: among === undefined });
  await nextTurn();
  return { mounts, link, replaced };
}

async function tellReady(mounts: HostedMounts, link: ServiceLink, readyDecisions: ReadyDecisions | undefined): Promise<void> {
  await mounts.settled();
  link.ready();
  await readyDecisions?.countForNext((count) => link.needDecisions(count));
}

/** Returns when it was told to stop and no mount is left. @throws CliError if it had to cut off users of a mount */
export async function runHost(parts: HostParts): Promise<void> {
  const { options } = parts;
  const { mounts, link, replaced } = await openMounts(parts);
  let stopping = false;
  let users: UserMounts | undefined;
  const stopped = new Promise<void>((resolve) =>
    onStopSignals(() => {
      stopping = true;
      mounts.stop();
      users?.stop();
      resolve();
    }),
  );
  const server = await startServer(parts, mounts);
  const { admin: address, socket, userMounts } = options;
  const { userProgram, readyDecisions } = parts.program;
  if (userMounts > 0) {
    users = new UserMounts(listenForUsers(usersSocketOf(socket)), userProgram, userMounts, parts.logger);
    // Such a service is there for sessions, root's among them.
    void readyDecisions?.keep();
  }
  const notReady = (): string | undefined => (stopping ? "draining" : undefined);
  const isNext = link?.restored === true;
  // Mounts that were taken over do not wait for it.
  const adminServer = address === undefined ? undefined : await startHostAdmin(mounts, { address, notReady, isNext });
  if (!isNext && (parts.among?.number ?? 0) === 0) process.stdout.write(`serves mounts at ${escapeLine(options.socket)}\n`);
  removeDeadDirectoriesLater();
  void mounts.settled().then(() => spareDescriptors(native.nofileLimit().soft));
  if (link !== undefined) void tellReady(mounts, link, readyDecisions);
  void replaced.then(async () => {
    server.leave();
    await mounts.drain();
    link?.handOver();
    process.exit(0);
  });
  await stopped;
  const errors = await mounts.ended();
  await users?.ended();
  await Promise.all([server.close(), adminServer?.close(), readyDecisions?.end()]);
  if (errors.length > 0) throw failed("serve", `mounts that did not end in order: ${errors.length}`, "see the log");
}

/** Checks what every start needs, with or without a keeper. @throws CliError */
export function checkHost({ group, userMounts }: HostOptions, keeper: boolean): void {
  checkCalls({ writable: true, keeper: keeper || userMounts > 0 });
  checkMachine(requiredCapabilities(true));
  if (group !== undefined) gidOf(group);
}

/** In this process, without a keeper. @throws CliError if it cannot serve, or as `runHost` */
export async function serveHost(options: HostOptions, program: HostProgram): Promise<void> {
  checkHost(options, false);
  const passed = passedSocket();
  const logger = await prepareHost(options, passed === undefined ? [] : [passed]);
  const socket = await openHostSocket(options.socket, options.group === undefined ? undefined : gidOf(options.group));
  await runHost({ options, program, logger, socket });
}
