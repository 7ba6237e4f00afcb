/** `sluice mount`: what is typed, and nothing of what it does. */
import { type Command, Option } from "commander";
import { wrong } from "@sluice/runtime/cli";
import type { MountArguments } from "@sluice/service-mount/options";
import { IN_BACKGROUND, launchInBackground } from "./launch-background.js";
import { keepLeastPrivilege, type MountHost } from "@sluice/service-mount";

const EXAMPLES = `
Examples:
  sluice mount --lower /srv/base /mnt/view                     read-only view of one layer
  sluice mount --lower /srv/app:/srv/base --upper /srv/changes --work /srv/work --policy policy.yaml /mnt/view
  sluice mount -o lowerdir=/srv/base,upperdir=/srv/changes,workdir=/srv/work /mnt/view
  sluice mount --config /etc/sluice/view.yaml --background --log-file /var/log/sluice.log
  sluice mount --lower /srv/base --decision dns:///decision:50051 --on-outage stale --stale-for 5m /mnt/view
  sluice mount --keeper-socket /run/keeper/socket --decision dns:///decision:50051    the server of a 'sluice keeper'

A colon in a layer's name is written \\:, as with overlayfs. The command stays in the foreground unless --background is given:
'sluice unmount MOUNTPOINT' unmounts, and so do SIGTERM and SIGINT, which wait for --grace where the mount is in use and then
cut its users off (exit code 1); a second signal does so at once. With --keeper on it goes on when its server dies, and
SIGHUP starts the server anew without unmounting; 'sluice upgrade MOUNTPOINT' does so with another version.

Exit codes: 0 unmounted, 1 failed while running, 2 the command line or a file is wrong, 3 the machine lacks something
('sluice doctor' says what), 4 the mount point or a layer is in use or unfit.
`;

export const DEFAULT_GRACE = "10s";
export const GRACE_HELP = "how long a server that is told to stop waits for whoever uses the mount, before it cuts them off";

const collect = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];

/** What is mounted where: a person looks for that first. */
function withLayers(command: Command): Command {
  return command
    .argument("[mountpoint]", "an empty directory")
    .addOption(new Option("--lower <dirs>", "read-only layers, topmost first, separated by ':'; may be repeated").argParser(collect))
    .option("--upper <dir>", "the layer that takes every change; without it the mount is read-only")
    .option("--work <dir>", "an empty directory on the upper layer's file system")
    .addOption(new Option("-o <options>", "option string of overlayfs, fuse-overlayfs or mount(8); may be repeated").argParser(collect))
    .option("--config <file>", "take options from a YAML file: keys are the names of options without dashes; the command line wins")
    .option("--background", "return when the mount is live, and leave it running; needs --log-file");
}

/** Who decides. */
function withDecider(command: Command): Command {
  return command
    .option("--policy <file>", "start a decision service with this policy; without one everything is granted")
    .option("--decision <target>", "use the decision service at this gRPC target")
    .option("--decision-ca <file>", "certificate authority of the decision service")
    .option("--decision-server-san <name>", "a name that its certificate must hold, such as URI:spiffe://example.org/decision")
    .option("--decision-cert <file>", "our certificate for the decision service")
    .option("--decision-key <file>", "its key");
}

/** The options of how the mount is held and served. */
function withServing(command: Command): Command {
  return command
    .option("--keeper-socket <path>", "serve what the keeper there holds ('sluice keeper'), which knows mount point and layers")
    .option("--engine <name>", "devfuse, fuse-native, or auto: devfuse unless the machine does not let it mount", "auto")
    .addOption(
      new Option("--transport <how>", "what requests come by: uring (FUSE over io_uring), read, or auto, which is read today")
        .default("auto")
        .env("SLUICE_TRANSPORT"),
    )
    .addOption(
      new Option(
        "--idle-polling <auto|on|off>",
        "let idle processors poll, not halt, while requests follow one another; auto: on up to 4 processors, where it is seen to help",
      )
        .default("auto")
        .env("SLUICE_IDLE_POLLING"),
    )
    .addOption(
      new Option("--keeper <on|off>", "a process that holds the mount, and starts the server again should it die")
        .default("off")
        .env("SLUICE_KEEPER"),
    )
    .addOption(
      new Option(
        "--privilege <auto|strict>",
        "strict: only the keeper registers files for passthrough, even where the server could",
      ).default("auto"),
    )
    .option(
      "--user <uid:gid>",
      "run the server as this user without any capability, for this user alone; with --keeper on and -o userxattr",
    );
}

export function addMountCommand(program: Command, host: MountHost): void {
  const command = program.command("mount").description("mount layers as one tree and serve it until it is unmounted");
  withServing(withDecider(withLayers(command)))
    .option("--on-outage <mode>", "what an open gets when no decision can be had: deny, mediate or stale", "deny")
    .option(
      "--on-revoke <what>",
      "after a change of policy, what to do about holders of opens that pass through and are not allowed any more: report, sigterm or sigkill",
      "report",
    )
    .option("--stale-for <duration>", "how old a decision may be with --on-outage stale", "5m")
    .option("--decision-timeout <duration>", "how long an open waits for its decision", "5s")
    .option("--grace <duration>", GRACE_HELP, DEFAULT_GRACE)
    .option("--max-stack-depth <depth>", "1: overlayfs may be mounted on top; 2: layers may lie on an overlay", "1")
    .option("--locks <who>", "who keeps fcntl and flock locks: kernel, daemon, or auto: the daemon where a file can change nodes", "auto")
    .option("--coherent-readers", "mediate lower files that can be copied up, so that who reads one sees later writes")
    .option("--shared-lower", "others change the lower layers meanwhile: seen within a second, or as long as -o timeout= says")
    .option("--control <socket>", "control socket; derived from the mount point by default")
    .option("--admin <host:port>", "serve /metrics, /healthz and /readyz")
    .option(
      "--tracing-endpoint <url>",
      "send spans of opens to this OpenTelemetry collector (OTLP over HTTP), such as http://127.0.0.1:4318",
    )
    .option("--tracing-ratio <share>", "how many opens are traced, 0 to 1; 0.01 by default")
    .option("--name <name>", "name of the mount for policies and logs; the mount point by default")
    .option("--log-level <level>", "trace, debug, info, warn, error, fatal or silent", "info")
    .option("--log-file <file>", "append the log to a file; standard error by default")
    .addHelpText("after", EXAMPLES)
    .action(async (typed: string | undefined, args: MountArguments, command: Command) => {
      if (args.config === undefined) await mount(typed, args, host);
      else await mountAsWritten(args.config, { typed, command, host });
    });
}

async function mountAsWritten(
  file: string,
  { typed, command, host }: { typed: string | undefined; command: Command; host: MountHost },
): Promise<void> {
  const { applyConfigFile, placed } = await import("./config-file.js");
  const written = applyConfigFile(file, command);
  try {
    await mount(typed ?? written.mountpoint, command.opts<MountArguments>(), host);
  } catch (error) {
    throw placed(error, written);
  }
}

async function mount(mountpoint: string | undefined, args: MountArguments, host: MountHost): Promise<void> {
  if (mountpoint === undefined && args.keeperSocket === undefined)
    throw wrong("mount", "no mount point is given", "name an empty directory");
  if (args.background === true && process.env[IN_BACKGROUND] === undefined) {
    process.exitCode = await launchInBackground(args.logFile);
    return;
  }
  // Without either it was refused above.
  if (args.keeperSocket !== undefined || mountpoint === undefined) {
    const { joinMount } = await import("@sluice/service-mount/join");
    return joinMount(mountpoint, args, host);
  }
  const becomeKeeper = args.keeper === "off" ? undefined : host.becomeKeeper;
  // Before anything is loaded: it starts the program once more.
  if (becomeKeeper === undefined) keepLeastPrivilege();
  // Loaded only here: gRPC, engine and overlay take longer to load than the other commands take to run.
  const { parseMount } = await import("@sluice/service-mount/options");
  if (becomeKeeper !== undefined) {
    const { startKeeper } = await import("@sluice/service-mount/keeper");
    startKeeper(parseMount(mountpoint, args), becomeKeeper);
  }
  const { runMount } = await import("@sluice/service-mount/serve");
  await runMount(parseMount(mountpoint, args), host);
}
