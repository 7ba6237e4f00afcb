/** `sluice volume-plugin`: what is typed, and nothing of what it does. */
import { LOG_LEVELS } from "@sluice/runtime/cli";
import { type Command, Option } from "commander";
import type { SluiceCommand, VolumePluginFlags } from "@sluice/service-volume-plugin";

const EXAMPLES = `
Examples:
  sluice volume-plugin &
  docker volume create -d sluice -o lower=/srv/models -o policy=/etc/sluice/policy.yaml models
  docker run --rm -v models:/models alpine ls /models
  docker volume create -d sluice -o lower=/srv/base -o upper=auto work       a writable one; its changes go with the volume

Options of a volume: lower (required), upper and work, or upper=auto; policy or decision; and by the names they have with
'sluice mount': decision-ca, decision-cert, decision-key, decision-server-san, decision-timeout, on-outage, on-revoke,
stale-for, max-stack-depth, locks, log-level, coherent-readers=true, shared-lower=true.

Mounts are processes of their own. A plugin that is started again finds them, and mounts again what has died.
`;

/** `command`: how the mounts' own `sluice` is called. */
export function addVolumePluginCommand(program: Command, command: SluiceCommand): void {
  program
    .command("volume-plugin")
    .description("serve Docker volumes that are Sluice mounts: docker volume create -d sluice -o lower=…")
    .option("--socket <path>", "where Docker finds it: the file's name is the driver's", "/run/docker/plugins/sluice.sock")
    .option("--root <dir>", "where volumes are mounted and remembered", "/var/lib/sluice/volume-plugin")
    .option("--host <dir>", "where the host's root directory is, for a plugin in a container: paths in options are the host's", "/")
    .addOption(new Option("--log-level <level>", "how much to log").choices(LOG_LEVELS).default("info"))
    .option("--log-file <file>", "log to a file instead of standard error")
    .addHelpText("after", EXAMPLES)
    .action(async (flags: VolumePluginFlags) => (await import("@sluice/service-volume-plugin")).serveVolumes(flags, command));
}
