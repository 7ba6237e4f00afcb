/** `sluice diff`: what an upper layer changed. */
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { unfit, wrong } from "../complaint.js";
import { splitEscaped } from "../config/escaped-list.js";
import { askOnce } from "../control/control-client.js";
import type { MountStatus } from "../control/control-protocol.js";
import { openTree } from "../diff/tree.js";
import { type Change, walkUpper } from "../diff/walk-upper.js";

interface DiffArguments {
  upper?: string;
  lower?: string[];
  json?: boolean;
  userxattr?: boolean;
  control?: string;
}
interface Layers {
  upper: string;
  lowers: readonly string[];
  userXattr: boolean;
}

const LETTERS: Readonly<Record<Change["kind"], string>> = {
  added: "A",
  modified: "M",
  deleted: "D",
  opaque: "O",
  metadata: "m",
  copied: "c",
};

async function layersOf(mountpoint: string | undefined, args: DiffArguments): Promise<Layers> {
  if (mountpoint === undefined) {
    if (args.upper === undefined || args.lower === undefined) {
      throw wrong("diff", "neither a mount point nor layers are given", "give MOUNTPOINT, or --upper DIR and --lower DIR");
    }
    return {
      upper: resolve(args.upper),
      lowers: args.lower.flatMap((list) => splitEscaped(list, ":", true)),
      userXattr: args.userxattr === true,
    };
  }
  if (args.upper !== undefined || args.lower !== undefined) {
    throw wrong("diff", "a mount point and layers are given", "give one of the two");
  }
  const { upper, lowers, userXattr } = (await askOnce(mountpoint, args.control, { method: "status" })) as MountStatus;
  if (upper === null) throw unfit(mountpoint, "the mount is read-only: it has no upper layer", "nothing can have changed");
  return { upper, lowers, userXattr };
}

function line(change: Change): string {
  const slash = change.type === "directory" ? "/" : "";
  return `${LETTERS[change.kind]} ${change.path}${slash}${change.from === undefined ? "" : ` (from ${change.from})`}\n`;
}

async function diff(mountpoint: string | undefined, args: DiffArguments): Promise<void> {
  const layers = await layersOf(mountpoint, args);
  const upper = openTree(layers.upper, layers.userXattr);
  const changes = walkUpper(
    upper,
    layers.lowers.map((path) => openTree(path, layers.userXattr)),
  );
  if (args.json === true) {
    process.stdout.write(`${JSON.stringify([...changes], null, 2)}\n`);
    return;
  }
  for (const change of changes) process.stdout.write(line(change));
}

const LEGEND = `
A added, M modified, D deleted, O replaced as a whole (opaque), m only mode or owner changed, c copied up without a change.
`;

export function addDiffCommand(program: Command): void {
  const collect = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];
  program
    .command("diff")
    .description("what the upper layer changed")
    .argument("[mountpoint]")
    .option("--upper <dir>", "an upper layer that is not mounted")
    .addOption(new Option("--lower <dirs>", "its lower layers, topmost first; may be repeated").argParser(collect))
    .option("--userxattr", "its marks are in user.overlay.*")
    .option("--json", "as JSON")
    .option("--control <socket>", "control socket, if the mount was given one")
    .addHelpText("after", LEGEND)
    .action(diff);
}
