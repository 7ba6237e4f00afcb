/** `sluice mount`: its options, and which part of the mount service they start. */
import { type Command, Option } from "commander";
import { wrong } from "@sluice/runtime/cli";
import type { MountArguments } from "@sluice/service-mount/options";
import { IN_BACKGROUND, launchInBackground } from "./launch-background.js";
import { keepLeastPrivilege, type MountHost } from "@sluice/service-mount";
import { withMountLayers } from "./shared-options.js";

const EXAMPLES = `
Examples:
  sluice mount --lower /srv/base /mnt/view                     read-only view of one layer
  sluice mount --lower /srv/app:/srv/base --upper /srv/changes --work /srv/work --policy policy.yaml /mnt/view
  sluice mount -o lowerdir=/srv/base,upperdir=/srv/changes,workdir=/srv/work /mnt/view
  sluice mount --config /etc/sluice/view.yaml --background --log-file /var/log/sluice.log
  sluice mount --lower /srv/base --decision dns:///decision:50051 --on-outage stale --stale-for 5m /mnt/view
  sluice mount --keeper-socket /run/keeper/socket --decision dns:///decision:50051    the server of a 'sluice keeper'

Write a colon in a layer's name as \\:, as with overlayfs. The command stays in the foreground unless --background is given.
'sluice unmount MOUNTPOINT' unmounts, and so do SIGTERM and SIGINT. If the mount is in use, they wait for --grace and then cut its
users off (exit code 1); a second signal cuts them off at once. With --keeper on the mount survives its server, and SIGHUP restarts
the server without unmounting; 'sluice upgrade MOUNTPOINT' does so with another version.

Exit codes: 0 unmounted, 1 failed while running, 2 the command line or a file is wrong, 3 the machine lacks something
(see 'sluice doctor'), 4 the mount point or a layer is in use or unfit.
`;

export const DEFAULT_GRACE = "10s";
export const GRACE_HELP = "how long a stopping server waits for the users of the mount before it cuts them off";

/** Mount point and layers: a person looks for those first. */
function withLayers(command: Command): Command {
  return withMountLayers(
    command.argument("[mountpoint]", "an empty directory"),
    "options of overlayfs, fuse-overlayfs or mount(8); may be repeated",
  )
    .option("--config <file>", "read options from a YAML file; keys are option names without dashes; command-line options override it")
    .option("--background", "return when the mount serves, and leave it running; needs --log-file");
}

/** The decision service. */
function withDecider(command: Command): Command {
  return command
    .option("--policy <file>", "start a decision service with this policy; without a policy every open is granted")
    .option("--decision <target>", "use the decision service at this gRPC target")
    .option("--decision-ca <file>", "certificate authority of the decision service")
    .option("--decision-server-san <name>", "a name that its certificate must contain, such as URI:spiffe://example.org/decision")
    .option("--decision-cert <file>", "client certificate for the decision service")
    .option("--decision-key <file>", "private key of the client certificate");
}

/** The engine, the keeper and privileges. */
function withServing(command: Command): Command {
  return command
    .option(
      "--keeper-socket <path>",
      "serve the mount of the keeper at this socket ('sluice keeper'), which knows the mount point and the layers",
    )
    .option("--engine <name>", "devfuse, fuse-native, or auto: devfuse if the machine lets it mount", "auto")
    .addOption(
      new Option("--transport <how>", "how requests arrive: uring (FUSE over io_uring), read, or auto, which is read today")
        .default("auto")
        .env("SLUICE_TRANSPORT"),
    )
    .addOption(
      new Option(
        "--idle-polling <auto|on|off>",
        "keep idle processors polling while requests follow one another; auto: on up to 4 processors, if it helps",
      )
        .default("auto")
        .env("SLUICE_IDLE_POLLING"),
    )
    .addOption(
      new Option("--keeper <on|off>", "a process that holds the mount, and restarts the server if it dies")
        .default("off")
        .env("SLUICE_KEEPER"),
    )
    .addOption(
      new Option("--privilege <auto|strict>", "strict: only the keeper registers files for passthrough, even if the server could").default(
        "auto",
      ),
    )
    .option(
      "--user <uid:gid>",
      "run the server as this user without any capability, and serve this user alone; needs --keeper on and -o userxattr",
    );
}

export function addMountCommand(program: Command, host: MountHost): void {
  const command = program.command("mount").description("mount layers as one tree and serve it until it is unmounted");
  withServing(withDecider(withLayers(command)))
    .option("--on-outage <mode>", "outcome of an open without a decision: deny, mediate or stale", "deny")
    .option(
      "--on-revoke <what>",
      "what to do with holders of revoked passthrough opens after a policy change: report, sigterm or sigkill",
      "report",
    )
    .option("--stale-for <duration>", "maximum age of a decision with --on-outage stale", "5m")
    .option("--decision-timeout <duration>", "how long an open waits for its decision", "5s")
    .option("--ask-timeout <duration>", "how long an open waits for a person, if --policy has rules that ask one; by default 60s")
    .option("--answers <file>", "write the answers of people that hold until they are revoked to this file")
    .option("--grace <duration>", GRACE_HELP, DEFAULT_GRACE)
    .option("--max-stack-depth <depth>", "1: overlayfs may be mounted on top; 2: layers may lie on an overlay", "1")
    .option("--locks <who>", "owner of fcntl and flock locks: kernel, daemon, or auto: the daemon if a file can change nodes", "auto")
    .option("--coherent-readers", "mediate lower files that can be copied up, so that their readers see later writes")
    .option("--shared-lower", "the lower layers may change while mounted; changes appear within a second, or within -o timeout=")
    .option(
      "--record-base <dir>",
      "record the files of the lowest layer that the upper layer replaces in this directory, as 'sluice run' does",
    )
    .option("--activity-file <file>", "write which program opened which files, and was denied which, to this file (JSON)")
    .option("--control <socket>", "path of the control socket; by default derived from the mount point")
    .option("--admin <host:port>", "serve /metrics, /healthz and /readyz")
    .option(
      "--tracing-endpoint <url>",
      "send spans of opens to this OpenTelemetry collector (OTLP over HTTP), such as http://127.0.0.1:4318",
    )
    .option("--tracing-ratio <share>", "share of opens that are traced, 0 to 1; by default 0.01")
    .option("--name <name>", "name of the mount in policies and logs; by default the mount point")
    .option("--log-level <level>", "trace, debug, info, warn, error, fatal or silent", "info")
    .option("--decision-log <file>", "append each decision of the service of --policy to this file, as JSON lines")
    .option("--log-file <file>", "append the log to this file; by default to standard error")
    .addHelpText("after", EXAMPLES)
    .action(async (typed: string | undefined, args: MountArguments, command: Command) => {
      if (args.config === undefined) await mount(typed, args, host);
      else await mountFromFile(args.config, { typed, command, host });
    });
}

async function mountFromFile(
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
  // With neither of the two it was refused above.
  if (args.keeperSocket !== undefined || mountpoint === undefined) {
    const { joinMount } = await import("@sluice/service-mount/join");
    return joinMount(mountpoint, args, host);
  }
  const becomeKeeper = args.keeper === "off" ? undefined : host.becomeKeeper;
  // Before anything else is loaded: it starts the program again.
  if (becomeKeeper === undefined) keepLeastPrivilege();
  // Loaded only here: gRPC, engine and overlay take longer to load than most commands run.
  const { parseMount } = await import("@sluice/service-mount/options");
  if (becomeKeeper !== undefined) {
    const { startKeeper } = await import("@sluice/service-mount/keeper");
    const { refuseUnreadableProgram } = await import("../become-keeper.js");
    const config = parseMount(mountpoint, args);
    refuseUnreadableProgram(config.user);
    startKeeper(config, becomeKeeper);
  }
  const { runMount } = await import("@sluice/service-mount/serve");
  await runMount(parseMount(mountpoint, args), host);
}
