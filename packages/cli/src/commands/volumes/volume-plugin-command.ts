/** `sluice volume-plugin`: its options. */
import { LOG_LEVELS } from "@sluice/runtime/cli";
import { type Command, Option } from "commander";
import type { SluiceCommand, VolumePluginFlags } from "@sluice/service-volume-plugin";

const EXAMPLES = `
Examples:
  sluice volume-plugin &
  docker volume create -d sluice -o lower=/srv/models -o policy=/etc/sluice/policy.yaml models
  docker run --rm -v models:/models alpine ls /models
  docker volume create -d sluice -o lower=/srv/base -o upper=auto work       a writable one; its changes go with the volume

Options of a volume: lower (required), upper and work, or upper=auto; policy or decision; and these options of
'sluice mount': decision-ca, decision-cert, decision-key, decision-server-san, decision-timeout, on-outage, on-revoke,
stale-for, max-stack-depth, locks, log-level, coherent-readers=true, shared-lower=true.

Mounts outlive the plugin: each is a process of its own, or in the host service ('sluice serve') if one runs. A restarted plugin
finds them, and mounts again those that died.
`;

/** `command` is the `sluice` command line that the plugin mounts with. */
export function addVolumePluginCommand(program: Command, command: SluiceCommand): void {
  program
    .command("volume-plugin")
    .description("serve Docker volumes that are Sluice mounts: docker volume create -d sluice -o lower=…")
    .option("--socket <path>", "socket for Docker; its file name is the name of the driver", "/run/docker/plugins/sluice.sock")
    .option("--root <dir>", "directory of the volumes' mounts and of their list", "/var/lib/sluice/volume-plugin")
    .option("--host <dir>", "the host's root directory, for a plugin in a container: paths in options are the host's", "/")
    .addOption(new Option("--log-level <level>", "how much to log").choices(LOG_LEVELS).default("info"))
    .option("--log-file <file>", "log to a file instead of standard error")
    .addHelpText("after", EXAMPLES)
    .action(async (flags: VolumePluginFlags) => (await import("@sluice/service-volume-plugin")).serveVolumes(flags, command));
}
