/** `sluice diff`: what an upper layer changed. */
import type { Command } from "commander";
import { openTree } from "../diff/tree.js";
import { type Change, walkUpper } from "../diff/walk-upper.js";
import { addLayerOptions, layersOf, type LayersArguments } from "./layers-argument.js";

interface DiffArguments extends LayersArguments {
  json?: boolean;
}

const LETTERS: Readonly<Record<Change["kind"], string>> = {
  added: "A",
  modified: "M",
  deleted: "D",
  opaque: "O",
  metadata: "m",
  copied: "c",
};

export function changeLine(change: Change): string {
  const slash = change.type === "directory" ? "/" : "";
  return `${LETTERS[change.kind]} ${change.path}${slash}${change.from === undefined ? "" : ` (from ${change.from})`}\n`;
}

async function diff(mountpoint: string | undefined, args: DiffArguments): Promise<void> {
  const layers = await layersOf("diff", mountpoint, args);
  const upper = openTree(layers.upper, layers.userXattr);
  const changes = walkUpper(
    upper,
    layers.lowers.map((path) => openTree(path, layers.userXattr)),
  );
  if (args.json === true) {
    process.stdout.write(`${JSON.stringify([...changes], null, 2)}\n`);
    return;
  }
  for (const change of changes) process.stdout.write(changeLine(change));
}

const LEGEND = `
A added, M modified, D deleted, O replaced as a whole (opaque), m only mode or owner changed, c copied up without a change.
`;

export function addDiffCommand(program: Command): void {
  addLayerOptions(program.command("diff").description("what the upper layer changed").argument("[mountpoint]"))
    .option("--json", "as JSON")
    .option("--control <socket>", "control socket, if the mount was given one")
    .addHelpText("after", LEGEND)
    .action(diff);
}
