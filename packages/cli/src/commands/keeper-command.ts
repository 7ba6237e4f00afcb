/** `sluice keeper`: holds a mount for servers that come by themselves, `sluice mount --keeper-socket`. */
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { failed, wrong } from "@sluice/runtime/cli";
import type { MountArguments } from "@sluice/service-mount/options";
import { DEFAULT_GRACE, GRACE_HELP } from "./mount-command.js";
import type { MountHost } from "@sluice/service-mount";

const HELP = `
For a keeper in a container of its own: the mount, the open files and the state stay with it while the server's container is
made anew, with another image. A server that goes away leaves the mount waiting: whoever uses it waits, and gets an error only
when no server has come for as long as --wait says; then the mount is taken away, and this command ends with 1.

It stays in the foreground. SIGTERM and SIGINT unmount; SIGHUP has the server make room for the next one. It needs what mounting
needs (CAP_SYS_ADMIN, /dev/fuse); nobody needs to see its process, but server and keeper must share one pid namespace, since the
kernel names callers by the keeper's.

Example:
  sluice keeper --socket /run/keeper/socket --lower /srv/base --upper /srv/changes --work /srv/work /mnt/view
  sluice mount --keeper-socket /run/keeper/socket --policy policy.yaml
`;

interface KeeperArguments extends Pick<MountArguments, "lower" | "upper" | "work" | "o" | "maxStackDepth" | "locks" | "user" | "grace"> {
  socket: string;
  wait: string;
}

const collect = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];

/** What a mount has by default where only its server says so. */
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

async function keepFor(mountpoint: string, args: KeeperArguments, host: MountHost): Promise<void> {
  if (host.becomeAwaitingKeeper === undefined) throw failed("keeper", "this command has no keeper", "use 'sluice keeper'");
  const { socket, wait, ...options } = args;
  if (socket === "") throw wrong("--socket", "the name is empty", "name a socket to make");
  const [{ durationOption, parseMount }, { startAwaitingKeeper }] = await Promise.all([
    import("@sluice/service-mount/options"),
    import("@sluice/service-mount/keeper"),
  ]);
  const waitMs = waitOf(wait, durationOption);
  const config = parseMount(mountpoint, { ...OF_THE_SERVER, ...options });
  startAwaitingKeeper(config, host.becomeAwaitingKeeper, { socket: resolve(socket), waitMs, options: { ...options } });
}

export function addKeeperCommand(program: Command, host: MountHost): void {
  program
    .command("keeper")
    .description("hold a mount for servers that come to a socket, from other containers for instance")
    .argument("<mountpoint>", "an empty directory")
    .requiredOption("--socket <path>", "where servers come to: made with mode 0600, and only for their user")
    .option("--wait <duration>", "how long the mount may be without a server that serves, or forever", "5m")
    .option("--grace <duration>", GRACE_HELP, DEFAULT_GRACE)
    .addOption(new Option("--lower <dirs>", "read-only layers, topmost first, separated by ':'; may be repeated").argParser(collect))
    .option("--upper <dir>", "the layer that takes every change; without it the mount is read-only")
    .option("--work <dir>", "an empty directory on the upper layer's file system")
    .addOption(new Option("-o <options>", "option string as of 'sluice mount'; may be repeated").argParser(collect))
    .option("--max-stack-depth <depth>", "1: overlayfs may be mounted on top; 2: layers may lie on an overlay", "1")
    .option("--locks <who>", "who keeps fcntl and flock locks: kernel, daemon, or auto", "auto")
    .option("--user <uid:gid>", "servers run as this user, without any capability, for this user alone; with -o userxattr")
    .addHelpText("after", HELP)
    .action((mountpoint: string, args: KeeperArguments) => keepFor(mountpoint, args, host));
}
