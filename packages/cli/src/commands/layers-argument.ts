/** The layers that a command works on: those of a mount, or those that the command line names. */
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { failed, unfit, wrong } from "@sluice/runtime/cli";
import { askLayers, isBeneath, type MountLayers, parseLowerList, realMountpoint } from "@sluice/mount-control";
import { checkDisjoint, LayerStack, openTree, type RoleOfTree, type Tree, treeOf } from "@sluice/layer-tools";
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
  /** Only searched for the data of metadata-only copies. */
  dataLowers: readonly Tree[];
}

/** Options that name layers which are not mounted. */
export function addLayerOptions(command: Command): Command {
  return command
    .option("--upper <dir>", "an upper layer that is not mounted")
    .addOption(
      new Option("--lower <dirs>", "its lower layers, topmost first, data-only ones behind ::; may be repeated").argParser(collect),
    )
    .option("--userxattr", "its marks are in user.overlay.* attributes");
}

const lowersOf = ({ lowers, dataLowers }: Pick<Layers, "lowers" | "dataLowers">): RoleOfTree[] =>
  [...lowers, ...dataLowers].map((tree) => ({ tree, role: "lower layer" }));

/** @throws CliError if the upper layer is not named, or if the lower layers are needed and not named */
export function namedLayers(command: string, args: LayersArguments, lowers: "needed" | "optional"): Layers {
  if (args.upper === undefined || args.upper === "") throw wrong(command, "no upper layer is given", "add --upper DIR");
  if (lowers === "needed" && args.lower === undefined) throw wrong(command, "no lower layer is given", "add --lower DIR");
  const open = (path: string): Tree => openTree(resolve(path), args.userxattr === true);
  const lists = (args.lower ?? []).map((list) => parseLowerList(list, "--lower"));
  const below = { lowers: lists.flatMap((list) => list.lowers.map(open)), dataLowers: lists.flatMap((list) => list.dataLowers.map(open)) };
  const upper = open(args.upper);
  checkDisjoint({ tree: upper, role: "upper layer" }, lowersOf(below));
  return { upper, ...below };
}

/** The work directory, if one is named. @throws CliError */
export function namedWork({ work }: LayersArguments, layers: Layers): Tree | undefined {
  if (work === undefined) return undefined;
  const tree = { ...openTree(resolve(work), false), prefix: layers.upper.prefix };
  checkDisjoint({ tree, role: "work directory" }, [{ tree: layers.upper, role: "upper layer" }, ...lowersOf(layers)]);
  return tree;
}

/** For a user's own server, which passes descriptors to root alone: opens the layers that it names, with our own rights. @throws CliError */
function openByName({ mountpoint, upper, lowers, dataLowers, userXattr }: MountLayers & { upper: string }): Layers {
  const covered = [upper, ...lowers, ...dataLowers].find((path) => isBeneath(path, realMountpoint(mountpoint)));
  if (covered !== undefined)
    throw unfit(covered, "the mount itself covers this layer", "unmount it, and name the layers with --upper and --lower");
  const open = (path: string): Tree => openTree(path, userXattr);
  return { upper: open(upper), lowers: lowers.map(open), dataLowers: dataLowers.map(open) };
}

/** The layers of the mount if one is named, otherwise those of the options. @throws CliError */
export async function layersOf(command: string, mountpoint: string | undefined, args: LayersArguments): Promise<Layers> {
  if (mountpoint === undefined) {
    if (args.upper === undefined)
      throw command === "diff"
        ? wrong(command, "no session, mount point or layers are given", "give SESSION or MOUNTPOINT, or --upper DIR and --lower DIR")
        : wrong(command, "neither a mount point nor layers are given", "give MOUNTPOINT, or --upper DIR and --lower DIR");
    return namedLayers(command, args, command === "diff" ? "needed" : "optional");
  }
  if (args.upper !== undefined || args.lower !== undefined)
    throw wrong(command, "a mount point and layers are given", "give one of the two");
  const layers = await askLayers(mountpoint, args.control);
  const { upper, lowers, dataLowers, userXattr, fds } = layers;
  if (upper === null) throw unfit(mountpoint, "the mount is read-only: it has no upper layer", "nothing can have changed");
  const [first, ...others] = fds;
  if (first === undefined) return openByName({ ...layers, upper });
  if (others.length !== lowers.length + dataLowers.length)
    throw failed(mountpoint, "the mount is about to end (ESTALE)", "name the layers with --upper and --lower");
  const trees = [...lowers, ...dataLowers].map((path, index) => treeOf(path, others[index] as number, userXattr));
  return {
    upper: treeOf(upper, first, userXattr),
    lowers: trees.slice(0, lowers.length),
    dataLowers: trees.slice(lowers.length),
  };
}

/** Top first: the upper layer is number 0. */
export function stackOf({ upper, lowers, dataLowers }: Layers): LayerStack {
  return new LayerStack([upper, ...lowers], { dataOnly: dataLowers });
}
