/** The host service with a keeper: the keeper's start, and the service that it starts. */
import { constants } from "node:os";
import { join } from "node:path";
import { readMemoryFile, tellLoaded, untilServiceGreeted } from "@sluice/keeper-link";
import { KEEPER_SOCKET, makeRunDirectory, realMountpoint } from "@sluice/mount-control";
import { native } from "@sluice/native";
import { failed } from "@sluice/runtime/cli";
import { serverMask } from "../privilege/least-privilege.js";
import { gidOf, openHostSocket } from "./host-listener.js";
import { MAX_MOUNTS } from "./hosted-mount.js";
import { checkHost, type HostOptions, type HostProgram, prepareHost, runHost } from "./serve-host.js";

/** As services/keeper starts it: after standard input, output and error. */
const LINK_FD = 3;
const CONFIG_FD = 4;
const LISTEN_FD = 5;

/** For the keeper of a host service. */
export interface SupervisedHost {
  /** The service's socket for clients. */
  socket: string;
  listenFd: number;
  ownsSocket: boolean;
  places: number;
  serverConfig: string;
  runDirectory: string;
  /** The capabilities that keeper and service may have at most. */
  capabilities: bigint;
}

interface ServiceConfig {
  options: HostOptions;
  keeperSocket: string;
}

/** This process makes the socket, and becomes the keeper. @throws CliError */
export async function startHostKeeper(options: HostOptions, become: (host: SupervisedHost) => never): Promise<never> {
  checkHost(options);
  const { socket, group } = options;
  const { fd, isPassed } = await openHostSocket(socket, group === undefined ? undefined : gidOf(group));
  const { path: runDirectory } = makeRunDirectory(realMountpoint(socket));
  const serverConfig = JSON.stringify({ options, keeperSocket: join(runDirectory, KEEPER_SOCKET) } satisfies ServiceConfig);
  return become({ socket, listenFd: fd, ownsSocket: !isPassed, places: MAX_MOUNTS, serverConfig, runDirectory, capabilities: serverMask });
}

/** `sluice host-server`: the service that a keeper starts. It waits, loaded, until its turn comes. */
export async function serveHostForKeeper(program: HostProgram): Promise<void> {
  const keeper = process.ppid;
  const { options, keeperSocket } = JSON.parse(readMemoryFile(CONFIG_FD)) as ServiceConfig;
  if (native.dieWithParent(constants.signals.SIGKILL, keeper) < 0) throw failed("serve", "the keeper is gone", "start it again");
  const logger = await prepareHost(options, [LINK_FD, LISTEN_FD]);
  const { readyDecisions } = program;
  tellLoaded(LINK_FD, readyDecisions !== undefined);
  const greeting = await untilServiceGreeted(LINK_FD, (count) => void readyDecisions?.prepare(count));
  await runHost({
    options,
    program,
    logger,
    socket: { fd: LISTEN_FD, remove: () => undefined },
    keeper: { greeting, socket: keeperSocket },
  });
}
