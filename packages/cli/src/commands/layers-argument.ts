/** The layers that a command works on: those of a mount, or those that the command line names. */
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { failed, unfit, wrong } from "@sluice/runtime/cli";
import { askLayers, isBeneath, type MountLayers, realMountpoint, splitEscaped } from "@sluice/mount-control";
import { LayerStack, openTree, type Tree, treeOf } from "@sluice/layer-tools";
import { collect } from "./shared-options.js";

export interface LayersArguments {
  upper?: string;
  lower?: string[];
  userxattr?: boolean;
  work?: string;
  control?: string;
}

/** Open layers, passed by a mount or named on the command line. No tool uses their paths. */
export interface Layers {
  upper: Tree;
  /** Top first. */
  lowers: readonly Tree[];
}

/** Options that name layers which are not mounted. */
export function addLayerOptions(command: Command): Command {
  return command
    .option("--upper <dir>", "an upper layer that is not mounted")
    .addOption(new Option("--lower <dirs>", "its lower layers, topmost first; may be repeated").argParser(collect))
    .option("--userxattr", "its marks are in user.overlay.* attributes");
}

/** @throws CliError if the upper layer is not named, or if the lower layers are needed and not named */
export function namedLayers(command: string, args: LayersArguments, lowers: "needed" | "optional"): Layers {
  if (args.upper === undefined || args.upper === "") throw wrong(command, "no upper layer is given", "add --upper DIR");
  if (lowers === "needed" && args.lower === undefined) throw wrong(command, "no lower layer is given", "add --lower DIR");
  const open = (path: string): Tree => openTree(resolve(path), args.userxattr === true);
  return { upper: open(args.upper), lowers: (args.lower ?? []).flatMap((list) => splitEscaped(list, ":", true)).map(open) };
}

/** The work directory, if one is named. @throws CliError */
export function namedWork({ work }: LayersArguments, { upper }: Layers): Tree | undefined {
  return work === undefined ? undefined : { ...openTree(resolve(work), false), prefix: upper.prefix };
}

/** For a user's own server, which passes descriptors to root alone: opens the layers that it names, with our own rights. @throws CliError */
function openByName({ mountpoint, upper, lowers, userXattr }: MountLayers & { upper: string }): Layers {
  const covered = [upper, ...lowers].find((path) => isBeneath(path, realMountpoint(mountpoint)));
  if (covered !== undefined)
    throw unfit(covered, "the mount itself covers this layer", "unmount it, and name the layers with --upper and --lower");
  return { upper: openTree(upper, userXattr), lowers: lowers.map((path) => openTree(path, userXattr)) };
}

/** The layers of the mount if one is named, otherwise those of the options. @throws CliError */
export async function layersOf(command: string, mountpoint: string | undefined, args: LayersArguments): Promise<Layers> {
  if (mountpoint === undefined) {
    if (args.upper === undefined)
      throw wrong(command, "neither a mount point nor layers are given", "give MOUNTPOINT, or --upper DIR and --lower DIR");
    return namedLayers(command, args, command === "diff" ? "needed" : "optional");
  }
  if (args.upper !== undefined || args.lower !== undefined)
    throw wrong(command, "a mount point and layers are given", "give one of the two");
  const layers = await askLayers(mountpoint, args.control);
  const { upper, lowers, userXattr, fds } = layers;
  if (upper === null) throw unfit(mountpoint, "the mount is read-only: it has no upper layer", "nothing can have changed");
  const [first, ...others] = fds;
  if (first === undefined) return openByName({ ...layers, upper });
  if (others.length !== lowers.length)
    throw failed(mountpoint, "the mount is about to end (ESTALE)", "name the layers with --upper and --lower");
  return { upper: treeOf(upper, first, userXattr), lowers: lowers.map((path, index) => treeOf(path, others[index] as number, userXattr)) };
}

/** Top first: the upper layer is number 0. */
export function stackOf({ upper, lowers }: Layers): LayerStack {
  return new LayerStack([upper, ...lowers]);
}
