/** Which layers a command works on: those of a mount, or ones that are named. */
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { unfit, wrong } from "../complaint.js";
import { splitEscaped } from "../config/escaped-list.js";
import { askOnce } from "../control/control-client.js";
import type { MountStatus } from "../control/control-protocol.js";
import { openTree } from "../diff/tree.js";
import { LayerStack } from "../layer-tools/layer-stack.js";

export interface LayersArguments {
  upper?: string;
  lower?: string[];
  userxattr?: boolean;
  control?: string;
}

export interface Layers {
  upper: string;
  /** Top first. */
  lowers: readonly string[];
  userXattr: boolean;
}

const collect = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];

/** Options that name layers which are not mounted. */
export function addLayerOptions(command: Command): Command {
  return command
    .option("--upper <dir>", "an upper layer that is not mounted")
    .addOption(new Option("--lower <dirs>", "its lower layers, topmost first; may be repeated").argParser(collect))
    .option("--userxattr", "its marks are in user.overlay.*");
}

/** @throws CliError where the upper layer is not named, or `lowers` are needed and are not */
export function namedLayers(command: string, args: LayersArguments, lowers: "needed" | "optional"): Layers {
  if (args.upper === undefined || args.upper === "") throw wrong(command, "no upper layer is given", "add --upper DIR");
  if (lowers === "needed" && args.lower === undefined) throw wrong(command, "no lower layer is given", "add --lower DIR");
  return {
    upper: resolve(args.upper),
    lowers: (args.lower ?? []).flatMap((list) => splitEscaped(list, ":", true)).map((path) => resolve(path)),
    userXattr: args.userxattr === true,
  };
}

/** The layers of a mount where one is named, else those of the options. */
export async function layersOf(command: string, mountpoint: string | undefined, args: LayersArguments): Promise<Layers> {
  if (mountpoint === undefined) {
    if (args.upper === undefined)
      throw wrong(command, "neither a mount point nor layers are given", "give MOUNTPOINT, or --upper DIR and --lower DIR");
    return namedLayers(command, args, command === "diff" ? "needed" : "optional");
  }
  if (args.upper !== undefined || args.lower !== undefined)
    throw wrong(command, "a mount point and layers are given", "give one of the two");
  const { upper, lowers, userXattr } = (await askOnce(mountpoint, args.control, { method: "status" })) as MountStatus;
  if (upper === null) throw unfit(mountpoint, "the mount is read-only: it has no upper layer", "nothing can have changed");
  return { upper, lowers, userXattr };
}

/** Top first: the upper layer is number 0. */
export function stackOf({ upper, lowers, userXattr }: Layers): LayerStack {
  return new LayerStack([upper, ...lowers].map((path) => openTree(path, userXattr)));
}
