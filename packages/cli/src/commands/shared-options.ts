/** Options that several commands have. */
import { type Command, Option } from "commander";

/** For an option that may be repeated. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** The help of an argument for `placeOf`. */
export const MOUNT_ARGUMENT = "a mount point, or a running session of 'sluice run'";

/** For commands that find a running mount by its mount point. */
export function controlOption(): Option {
  return new Option("--control <socket>", "control socket of the mount, if it has one of its own");
}

/** The layers of a mount. */
export function withMountLayers(command: Command, optionString: string): Command {
  return command
    .addOption(new Option("--lower <dirs>", "read-only layers, topmost first, separated by ':'; may be repeated").argParser(collect))
    .option("--upper <dir>", "the writable layer; without it the mount is read-only")
    .option("--work <dir>", "an empty directory on the upper layer's file system")
    .addOption(new Option("-o <options>", optionString).argParser(collect));
}
