/** `sluice serve`: its options, and how a client's options become a mount. */
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { HOST_SOCKET } from "@sluice/host-api/socket";
import { failed, LOG_LEVELS, type LogLevel, wrong } from "@sluice/runtime/cli";
import { keepLeastPrivilege, type MountHost } from "@sluice/service-mount";
import type { HostProgram } from "@sluice/service-mount/host";
import { type Command, Option } from "commander";
import { refuseUnreadableProgram, userProgram } from "../become-keeper.js";
import { type GivenOption, mountArguments } from "./mount-options.js";

const HELP = `
Examples:
  sluice serve &
  sluice mount --host-service auto --lower /srv/base --background /mnt/view
  sluice serve --group mounters --admin 127.0.0.1:9465
  sluice serve --keeper on --processes auto     one process for each processor, at most 8
  sluice serve --user-mounts 16                 every user may have 16 mounts, with the user's rights

One process serves all mounts that are made through its socket. Each has layers, a policy, options, a log label and a control socket of
its own, and 'sluice status', 'unmount' and all other commands work on it as on any mount. Mounts with the same policy file share one
decision service. Whoever may use the socket can mount anything anywhere as root: membership of --group equals root.

With --keeper on this process becomes the keeper of all mounts. It starts the process that serves them, and another one if that dies:
requests wait for it, and none fails. 'sluice upgrade SOCKET', or SIGHUP, replaces that process by a new version.

With --processes, several processes divide the mounts, so that mounts which are at work at the same time use several processors. Each
further process takes some 55 MiB.

With --user-mounts, other users mount by the socket users.sock beside it. They name directories and a policy that they can open
themselves. Each such mount has a keeper and a server of its own; the server runs as the user, without any capability. A service with a keeper has none.

SIGTERM ends all mounts as it ends a single one: it waits for the users of each mount for its --grace, and a second signal cuts them off.
With socket activation by systemd the service takes the socket that it is passed.

Exit codes: 0 ended, 1 a mount did not end in order, 2 the command line is wrong, 3 the machine lacks something, 4 another process listens
at the socket, or others than root can write to its directory.
`;

interface ServeArguments {
  keeper: "on" | "off";
  socket: string;
  group?: string;
  admin?: string;
  logLevel: LogLevel;
  logFile?: string;
  userMounts: string;
  processes: string;
}

/** Reads and writes that wait for a disk are done by these threads, for all mounts. */
const WAITING_THREADS = "16";
/** Stands for every user who may be no member of any group. */
const NOBODY = { uid: 65_534, gid: 65_534 };
/** Standard input, output and error, and a socket that systemd passes. */
const DESCRIPTORS = 4;

interface Spec {
  mountpoint: string;
  directory: string;
  options: readonly GivenOption[];
}

const MOST_USER_MOUNTS = 64;

/** @throws CliError */
function countOf(text: string): number {
  const count = Number(text);
  if (!/^\d{1,2}$/.test(text) || count > MOST_USER_MOUNTS)
    throw wrong("--user-mounts", `"${text}" is not a count from 0 to ${MOST_USER_MOUNTS}`, "write for instance 16");
  return count;
}

const MOST_PROCESSES = 64;
/** "auto" makes no more: most machines have mounts that rest. */
const MOST_BY_ITSELF = 8;

/** @throws CliError */
function processesOf(text: string, keeper: "on" | "off"): number {
  const count = text === "auto" ? Math.min(availableParallelism(), MOST_BY_ITSELF) : Number(text);
  if (!/^(auto|\d{1,2})$/.test(text) || count < 1 || count > MOST_PROCESSES)
    throw wrong("--processes", `"${text}" is neither auto nor a count from 1 to ${MOST_PROCESSES}`, "write for instance 4");
  if (count > 1 && keeper === "off")
    throw wrong("--processes", "several processes need a keeper that holds their mounts", "add --keeper on");
  return count;
}

async function programOf({ startEmbeddedDecision, readyDecisions }: MountHost): Promise<HostProgram> {
  const { parseMount } = await import("@sluice/service-mount/options");
  const parse = ({ mountpoint, directory, options }: Spec): ReturnType<typeof parseMount> => {
    if (!directory.startsWith("/")) throw wrong(directory, "the directory of relative paths is not absolute", "name it from the root");
    return parseMount(mountpoint, { ...mountArguments(options), directory });
  };
  return { startEmbeddedDecision, ...(readyDecisions === undefined ? {} : { readyDecisions }), parse, userProgram };
}

async function serve({ keeper, socket, logFile, ...given }: ServeArguments, host: MountHost): Promise<void> {
  process.env["UV_THREADPOOL_SIZE"] ??= WAITING_THREADS;
  // Before anything else is loaded: it starts the program again.
  keepLeastPrivilege(process.env["LISTEN_PID"] === String(process.pid) ? DESCRIPTORS : undefined);
  const log = logFile === undefined ? undefined : resolve(logFile);
  const { group, admin, logLevel } = given;
  const userMounts = countOf(given.userMounts);
  const processes = processesOf(given.processes, keeper);
  const options = { socket: resolve(socket), group, admin, logLevel, logFile: log, userMounts, processes };
  if (userMounts > 0 && keeper === "on")
    throw wrong("--user-mounts", "cannot be combined with --keeper on", "start another service for users, with a --socket of its own");
  if (userMounts > 0) refuseUnreadableProgram(NOBODY);
  if (keeper === "off") return (await import("@sluice/service-mount/host")).serveHost(options, await programOf(host));
  if (host.becomeHostKeeper === undefined) throw failed("--keeper on", "this command has no keeper", "use 'sluice serve'");
  const { startHostKeeper } = await import("@sluice/service-mount/host-keeper");
  return startHostKeeper(options, host.becomeHostKeeper);
}

export function addServeCommand(program: Command, host: MountHost): void {
  program
    .command("serve")
    .description("serve many mounts in one process or several, and make and end them as clients ask by gRPC")
    .option("--socket <path>", "the socket for clients", HOST_SOCKET)
    .option("--group <group>", "let members of this group use the service, which equals root; by default root alone may")
    .addOption(new Option("--keeper <mode>", "on: the mounts outlive this process, in a keeper").choices(["on", "off"]).default("off"))
    .option("--processes <count>", "divide the mounts among so many processes, or auto: one a processor, at most 8; needs --keeper on", "1")
    .option("--user-mounts <count>", "let each user have up to this many mounts, made with the user's rights alone; by default none", "0")
    .option("--admin <host:port>", "serve /metrics of all mounts, /healthz and /readyz")
    .addOption(new Option("--log-level <level>", "how much to log").choices(LOG_LEVELS).default("info"))
    .option(
      "--log-file <file>",
      "append the log, and that of mounts without a log file of their own, to this file; by default to standard error",
    )
    .addHelpText("after", HELP)
    .action((args: ServeArguments) => serve(args, host));
}

/** `sluice host-server`: the keeper of a host service starts it. It is of no use to anybody else, so the help does not list it. */
export function addHostServerCommand(program: Command, host: MountHost): void {
  program.command("host-server", { hidden: true }).action(async () => {
    const { serveHostForKeeper } = await import("@sluice/service-mount/host-keeper");
    await serveHostForKeeper(await programOf(host));
  });
}
