/** The options of `sluice mount`. A host service takes them by their names from a client. */
import type { MountArguments } from "@sluice/service-mount/options";
import { Command, Option } from "commander";
import { LOG_LEVELS, wrong } from "@sluice/runtime/cli";
import { collect, withMountLayers } from "./shared-options.js";

export const DEFAULT_GRACE = "10s";
export const GRACE_HELP = "how long a stopping server waits for the users of the mount before it cuts them off";

/** Names the values in help and completion. The mount checks them itself, since files and clients give them, too. */
function oneOf(flags: string, description: string, values: readonly string[]): Option {
  return Object.assign(new Option(flags, description).default(values[0]), { argChoices: [...values] });
}

/** Mount point and layers: a person looks for those first. */
function withLayers(command: Command): Command {
  return withMountLayers(
    command.argument("[mountpoint]", "an empty directory"),
    "options of overlayfs, fuse-overlayfs or mount(8); may be repeated",
  )
    .option("--config <file>", "read options from a YAML file; keys are option names without dashes; command-line options override it")
    .option("--background", "return when the mount serves, and leave it running; needs --log-file, unless a host service makes the mount")
    .addOption(
      new Option(
        "--host-service <auto|off|path>",
        "have the mount made by the host service ('sluice serve') at this socket; auto: if one answers at the usual socket and can",
      )
        .default("off")
        .env("SLUICE_HOST_SERVICE"),
    );
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
    .addOption(oneOf("--engine <name>", "auto: devfuse if the machine lets it mount, else fuse-native", ["auto", "devfuse", "fuse-native"]))
    .addOption(
      oneOf("--transport <how>", "how requests arrive: uring is FUSE over io_uring; auto is read today", ["auto", "read", "uring"]).env(
        "SLUICE_TRANSPORT",
      ),
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

export function withMountOptions(command: Command): Command {
  return withServing(withDecider(withLayers(command)))
    .addOption(oneOf("--on-outage <mode>", "outcome of an open without a decision", ["deny", "mediate", "stale"]))
    .addOption(
      oneOf("--on-revoke <what>", "what to do with holders of revoked passthrough opens after a policy change", [
        "report",
        "sigterm",
        "sigkill",
      ]),
    )
    .option("--stale-for <duration>", "maximum age of a decision with --on-outage stale", "5m")
    .option("--decision-timeout <duration>", "how long an open waits for its decision", "5s")
    .option("--ask-timeout <duration>", "how long an open waits for a person, if --policy has rules that ask one; by default 60s")
    .option("--answers <file>", "write the answers of people that hold until they are revoked to this file")
    .option("--grace <duration>", GRACE_HELP, DEFAULT_GRACE)
    .addOption(oneOf("--max-stack-depth <depth>", "1: overlayfs may be mounted on top; 2: layers may lie on an overlay", ["1", "2"]))
    .addOption(
      oneOf("--locks <who>", "owner of fcntl and flock locks; auto: the daemon if a file can change nodes", ["auto", "daemon", "kernel"]),
    )
    .option("--coherent-readers", "mediate lower files that can be copied up, so that their readers see later writes")
    .option("--shared-lower", "the lower layers may change while mounted; changes appear within a second, or within -o timeout=")
    .option(
      "--layers-beneath <dir>",
      "follow no symbolic link below this directory, which lies above all layers: others may change what is below it",
    )
    .option(
      "--record-base <dir>",
      "record the files of the lowest layer that the upper layer replaces in this directory, as 'sluice run' does",
    )
    .option("--former-uppers <n>", "the n topmost lower layers were the upper layer before: policies know them as 'upper', too", "0")
    .option("--activity-file <file>", "write which program opened which files, and was denied which, to this file (JSON)")
    .option("--control <socket>", "path of the control socket; by default derived from the mount point")
    .option("--admin <host:port>", "serve /metrics, /healthz and /readyz")
    .option(
      "--tracing-endpoint <url>",
      "send spans of opens to this OpenTelemetry collector (OTLP over HTTP), such as http://127.0.0.1:4318",
    )
    .option("--tracing-ratio <share>", "share of opens that are traced, 0 to 1; by default 0.01")
    .option("--name <name>", "name of the mount in policies and logs; by default the mount point")
    .addOption(
      new Option("--label <name=value>", "a fact about the mount that policies read as resource.label['NAME']; may be repeated").argParser(
        collect,
      ),
    )
    .addOption(oneOf("--log-level <level>", "how much to log", LOG_LEVELS).default("info"))
    .option("--decision-log <file>", "append each decision of the service of --policy to this file, as JSON lines")
    .option("--log-file <file>", "append the log to this file; by default to standard error");
}

/** -o has no long name. */
export const OPTION_STRINGS = "options";

/** Their values are lists, one directory or option string per item. */
export const LISTS: ReadonlySet<string> = new Set(["lower", "label", OPTION_STRINGS]);

/** How files and clients name an option: without dashes. */
export function keyOf(option: Option): string {
  return option.long === undefined ? OPTION_STRINGS : option.long.slice(2);
}

export function isFlag(option: Option): boolean {
  return !option.required && !option.optional;
}

/** The command itself handles these; a host service gets the result. */
const OF_THE_COMMAND: ReadonlySet<string> = new Set(["config", "background", "host-service", "keeper-socket", "help"]);

export interface GivenOption {
  name: string;
  /** None for a flag. */
  values: string[];
}

/** The options that were given by command line, file or environment. */
export function givenOptions(command: Command): GivenOption[] {
  return command.options.flatMap((option) => {
    const name = keyOf(option);
    const key = option.attributeName();
    const value: unknown = command.getOptionValue(key);
    const source = command.getOptionValueSource(key);
    if (OF_THE_COMMAND.has(name) || value === undefined || source === undefined || source === "default") return [];
    return [{ name, values: value === true ? [] : [value].flat().map(String) }];
  });
}

/** The arguments of `sluice mount` with these options, as a client names them, and its defaults. @throws CliError */
export function mountArguments(given: readonly GivenOption[]): MountArguments {
  const command = withMountOptions(new Command("mount"));
  const known = new Map(command.options.map((option) => [keyOf(option), option]));
  for (const { name, values } of given) {
    const option = OF_THE_COMMAND.has(name) ? undefined : known.get(name);
    if (option === undefined)
      throw wrong(`--${name}`, "the host service does not know this option", "see 'sluice mount --help' of its version");
    const value = isFlag(option) ? true : LISTS.has(name) ? values : values.at(-1);
    if (value === undefined) throw wrong(`--${name}`, "it has no value", "give it one");
    command.setOptionValueWithSource(option.attributeName(), value, "client");
  }
  return command.opts();
}
