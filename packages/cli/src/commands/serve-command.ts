/** `sluice serve`: its options, and how a client's options become a mount. */
import { resolve } from "node:path";
import { LOG_LEVELS, type LogLevel, wrong } from "@sluice/runtime/cli";
import { keepLeastPrivilege, type MountHost } from "@sluice/service-mount";
import { Command, Option } from "commander";
import { type GivenOption, HOST_SOCKET, setOptions, withMountOptions } from "./mount-options.js";

const HELP = `
Examples:
  sluice serve &
  sluice mount --host-service auto --lower /srv/base --background /mnt/view
  sluice serve --group mounters --admin 127.0.0.1:9465

One process serves all mounts that are made through its socket. Each has layers, a policy, options, a log label and a control socket of
its own, and 'sluice status', 'unmount' and all other commands work on it as on any mount. Mounts with the same policy file share one
decision service. Whoever may use the socket can mount anything anywhere as root: membership of --group equals root.

SIGTERM ends all mounts as it ends a single one: it waits for the users of each mount for its --grace, and a second signal cuts them off.
With socket activation by systemd the service takes the socket that it is passed.

Exit codes: 0 ended, 1 a mount did not end in order, 2 the command line is wrong, 3 the machine lacks something, 4 another process listens
at the socket, or others than root can write to its directory.
`;

interface ServeArguments {
  socket: string;
  group?: string;
  admin?: string;
  logLevel: LogLevel;
  logFile?: string;
}

/** Reads and writes that wait for a disk are done by these threads, for all mounts. */
const WAITING_THREADS = "16";
/** Standard input, output and error, and a socket that systemd passes. */
const DESCRIPTORS = 4;

interface Spec {
  mountpoint: string;
  directory: string;
  options: readonly GivenOption[];
}

async function serve({ socket, group, admin, logLevel, logFile }: ServeArguments, host: MountHost): Promise<void> {
  process.env["UV_THREADPOOL_SIZE"] ??= WAITING_THREADS;
  // Before anything else is loaded: it starts the program again.
  keepLeastPrivilege(process.env["LISTEN_PID"] === String(process.pid) ? DESCRIPTORS : undefined);
  const { parseMount } = await import("@sluice/service-mount/options");
  const parse = ({ mountpoint, directory, options }: Spec): ReturnType<typeof parseMount> => {
    if (!directory.startsWith("/")) throw wrong(directory, "the directory of relative paths is not absolute", "name it from the root");
    const command = withMountOptions(new Command("mount"));
    setOptions(command, options);
    return parseMount(mountpoint, { ...command.opts(), directory });
  };
  const { serveHost } = await import("@sluice/service-mount/host");
  const { startEmbeddedDecision } = host;
  const log = logFile === undefined ? undefined : resolve(logFile);
  await serveHost({ socket: resolve(socket), group, admin, logLevel, logFile: log }, { startEmbeddedDecision, parse });
}

export function addServeCommand(program: Command, host: MountHost): void {
  program
    .command("serve")
    .description("serve many mounts in one process, and make and end them as clients ask by gRPC")
    .option("--socket <path>", "the socket for clients", HOST_SOCKET)
    .option("--group <group>", "let members of this group use the service, which equals root; by default root alone may")
    .option("--admin <host:port>", "serve /metrics of all mounts, /healthz and /readyz")
    .addOption(new Option("--log-level <level>", "how much to log").choices(LOG_LEVELS).default("info"))
    .option(
      "--log-file <file>",
      "append the log, and that of mounts without a log file of their own, to this file; by default to standard error",
    )
    .addHelpText("after", HELP)
    .action((args: ServeArguments) => serve(args, host));
}
