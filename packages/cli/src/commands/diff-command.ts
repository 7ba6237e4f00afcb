/** `sluice diff`: the changes of an upper layer. */
import { escapeName } from "@sluice/runtime/cli";
import type { Command } from "commander";
import { type Change, walkUpper } from "@sluice/layer-tools";
import { toText } from "@sluice/native";
import { addLayerOptions, layersOf, type LayersArguments } from "./layers-argument.js";
import { controlOption } from "./shared-options.js";

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
  const from = change.from === undefined ? "" : ` (from ${escapeName(change.from)})`;
  return `${LETTERS[change.kind]} ${escapeName(change.path)}${slash}${from}\n`;
}

/** For programs: names as text, without escapes. */
function plain({ path, from, ...change }: Change): Change {
  return { ...change, path: toText(path), ...(from === undefined ? {} : { from: toText(from) }) };
}

async function diff(mountpoint: string | undefined, args: DiffArguments): Promise<void> {
  const { upper, lowers } = await layersOf("diff", mountpoint, args);
  const changes = walkUpper(upper, lowers);
  if (args.json === true) {
    process.stdout.write(`${JSON.stringify(Array.from(changes, plain), null, 2)}\n`);
    return;
  }
  for (const change of changes) process.stdout.write(changeLine(change));
}

const LEGEND = `
A added, M modified, D deleted, O replaced as a whole (opaque), m only mode or owner changed, c copied up without a change.
Control characters in a name are escaped as in $'...' of a shell: \\n, \\033, \\\\. --json has the names without escapes.
`;

export function addDiffCommand(program: Command): void {
  addLayerOptions(program.command("diff").description("list the changes of an upper layer").argument("[mountpoint]"))
    .option("--json", "as JSON")
    .addOption(controlOption())
    .addHelpText("after", LEGEND)
    .action(diff);
}
