/** `sluice keeper`: holds a mount for servers that connect to it, `sluice mount --keeper-socket`. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { failed } from "@sluice/runtime/cli";
import type { MountArguments } from "@sluice/service-mount/options";
import { DEFAULT_GRACE, GRACE_HELP } from "./mount-options.js";
import type { MountHost } from "@sluice/service-mount";
import { withMountLayers } from "./shared-options.js";

const HELP = `
For a keeper in a container of its own: the mount, the open files and the state stay with it while the server's container is
recreated, with another image. While no server is connected, callers wait. They see errors only after no server has connected within
--wait; then the keeper unmounts, and this command ends with exit code 1.

It stays in the foreground. SIGTERM and SIGINT unmount; on SIGHUP the server makes room for the next one. It needs the rights that
mounting needs (CAP_SYS_ADMIN, /dev/fuse). Server and keeper must share one pid namespace, since the kernel names callers by the pids
of the keeper's namespace.

Example:
  sluice keeper --socket /run/keeper/socket --lower /srv/base --upper /srv/changes --work /srv/work /mnt/view
  sluice mount --keeper-socket /run/keeper/socket --policy policy.yaml
`;

interface KeeperArguments extends Pick<MountArguments, "lower" | "upper" | "work" | "o" | "maxStackDepth" | "locks" | "user" | "grace"> {
  socket: string;
  wait: string;
}

/** Defaults of options that belong to the server: the keeper has none of them. */
const OF_THE_SERVER = {
  onOutage: "deny",
  onRevoke: "report",
  staleFor: "5m",
  decisionTimeout: "5s",
  engine: "devfuse",
  transport: "auto",
  idlePolling: "auto",
  keeper: "on",
  privilege: "auto",
  logLevel: "info",
} as const;

function waitOf(text: string, parse: (text: string, option: string) => number): number | null {
  return text === "forever" ? null : parse(text, "--wait");
}

async function startKeeperFor(mountpoint: string, args: KeeperArguments, host: MountHost): Promise<void> {
  if (host.becomeAwaitingKeeper === undefined) throw failed("keeper", "this command has no keeper", "use 'sluice keeper'");
  const { socket, wait, ...options } = args;
  const [{ durationOption, parseMount }, { startAwaitingKeeper }] = await Promise.all([
    import("@sluice/service-mount/options"),
    import("@sluice/service-mount/keeper"),
  ]);
  const waitMs = waitOf(wait, durationOption);
  const config = parseMount(mountpoint, { ...OF_THE_SERVER, ...options });
  startAwaitingKeeper(config, host.becomeAwaitingKeeper, { socket: resolve(socket), waitMs, options: { ...options } });
}

export function addKeeperCommand(program: Command, host: MountHost): void {
  const command = program
    .command("keeper")
    .description("hold a mount for servers that connect to a socket, from other containers for instance")
    .argument("<mountpoint>", "an empty directory")
    .requiredOption("--socket <path>", "socket for servers; created with mode 0600, for their user alone")
    .option("--wait <duration>", "how long the mount may be without a server, or forever", "5m")
    .option("--grace <duration>", GRACE_HELP, DEFAULT_GRACE);
  withMountLayers(command, "options as of 'sluice mount'; may be repeated")
    .option("--max-stack-depth <1|2>", "1: overlayfs may be mounted on top; 2: layers may lie on an overlay", "1")
    .option("--locks <auto|daemon|kernel>", "owner of fcntl and flock locks; auto: the daemon if a file can change nodes", "auto")
    .option("--user <uid:gid>", "run servers as this user without any capability, and serve this user alone; needs -o userxattr")
    .addHelpText("after", HELP)
    .action((mountpoint: string, args: KeeperArguments) => startKeeperFor(mountpoint, args, host));
}
