/** The host service with a keeper: the keeper's start, and the service that it starts. */
import { constants } from "node:os";
import { join } from "node:path";
import { readMemoryFile, tellLoaded, untilServiceGreeted } from "@sluice/keeper-link";
import { KEEPER_SOCKET, makeRunDirectory, realMountpoint } from "@sluice/mount-control";
import { native } from "@sluice/native";
import { failed } from "@sluice/runtime/cli";
import { errnoName } from "@sluice/vfs";
import { becomeOr } from "../keeper/start-keeper.js";
import { serverMask } from "../privilege/least-privilege.js";
import { gidOf, openHostSocket } from "./host-listener.js";
import { MAX_MOUNTS } from "./hosted-mount.js";
import { checkHost, type HostOptions, type HostProgram, prepareHost, runHost } from "./serve-host.js";

/** As services/keeper starts it: after standard input, output and error. */
const LINK_FD = 3;
const CONFIG_FD = 4;
const LISTEN_FD = 5;
const FIRST_PASS_FD = 6;

/** For the keeper of a host service. */
export interface SupervisedHost {
  /** The service's socket for clients. */
  socket: string;
  listenFd: number;
  ownsSocket: boolean;
  places: number;
  serverConfig: string;
  /** Of further processes, and the ends by which the first one passes connections on to them. */
  others: { serverConfig: string; listenFd: number }[];
  passFds: number[];
  runDirectory: string;
  /** The capabilities that keeper and service may have at most. */
  capabilities: bigint;
}

interface ServiceConfig {
  options: HostOptions;
  keeperSocket: string;
  /** Of several processes that divide the mounts: 0 takes the clients. Earlier versions have one. */
  number?: number;
}

/** The two ends of a socket by which the first process passes connections on to another one. @throws CliError */
function passPair(): [ours: number, theirs: number] {
  const pair = new Int32Array(2);
  const made = native.seqpacketPair(pair);
  if (made < 0)
    throw failed("--processes", `no socket for another process (${errnoName(-made)})`, "raise the limit of open files (ulimit -n)");
  return [pair[0] as number, pair[1] as number];
}

/** Each process serves its metrics at a port of its own: those after the given one. */
function adminOf(address: string | undefined, number: number): string | undefined {
  const [, host, port] = /^(.*):(\d+)$/.exec(address ?? "") ?? [];
  return host === undefined || Number(port) === 0 ? address : `${host}:${Number(port) + number}`;
}

/** @throws CliError without a descriptor for another process */
function divide(options: HostOptions, keeperSocket: string): Pick<SupervisedHost, "serverConfig" | "passFds" | "others"> {
  const configOf = (number: number): string =>
    JSON.stringify({ options: { ...options, admin: adminOf(options.admin, number) }, keeperSocket, number } satisfies ServiceConfig);
  const pairs = Array.from({ length: (options.processes ?? 1) - 1 }, passPair);
  return {
    serverConfig: configOf(0),
    passFds: pairs.map(([ours]) => ours),
    others: pairs.map(([, listenFd], at) => ({ serverConfig: configOf(at + 1), listenFd })),
  };
}

/** This process makes the socket, and becomes the keeper. @throws CliError */
export async function startHostKeeper(options: HostOptions, become: (host: SupervisedHost) => never): Promise<never> {
  checkHost(options, true);
  const { socket, group } = options;
  const { fd, isPassed, remove } = await openHostSocket(socket, group === undefined ? undefined : gidOf(group));
  return becomeOr(remove, () => {
    const made = makeRunDirectory(realMountpoint(socket));
    const { path: runDirectory } = made;
    return becomeOr(made.remove, () => {
      const divided = divide(options, join(runDirectory, KEEPER_SOCKET));
      const service = { socket, listenFd: fd, ownsSocket: !isPassed, places: MAX_MOUNTS, runDirectory };
      return become({ ...service, ...divided, capabilities: serverMask });
    });
  });
}

/** `sluice host-server`: the service that a keeper starts. It waits, loaded, until its turn comes. */
export async function serveHostForKeeper(program: HostProgram): Promise<void> {
  const keeper = process.ppid;
  const { options, keeperSocket, number = 0 } = JSON.parse(readMemoryFile(CONFIG_FD)) as ServiceConfig;
  const count = options.processes ?? 1;
  const passFds = number === 0 ? Array.from({ length: count - 1 }, (_each, at) => FIRST_PASS_FD + at) : [];
  if (native.dieWithParent(constants.signals.SIGKILL, keeper) < 0) throw failed("serve", "the keeper is gone", "start it again");
  const logger = await prepareHost(options, [LINK_FD, LISTEN_FD, ...passFds]);
  const { readyDecisions } = program;
  tellLoaded(LINK_FD, readyDecisions !== undefined);
  const greeting = await untilServiceGreeted(LINK_FD, (count) => void readyDecisions?.prepare(count));
  await runHost({
    options,
    program,
    logger,
    socket: { fd: LISTEN_FD, remove: () => undefined },
    keeper: { greeting, socket: keeperSocket },
    among: count === 1 ? undefined : { number, passFds },
  });
}
