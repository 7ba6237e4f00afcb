/** `sluice reset`: discards an upper layer's changes. */
import { createInterface } from "node:readline/promises";
import { holdUnmounted, resetLayer, walkUpper } from "@sluice/layer-tools";
import { counted, escapeTextName, wrong } from "@sluice/runtime/cli";
import type { Command } from "commander";
import { changeLine } from "./diff-command.js";
import { addLayerOptions, type Layers, namedLayers, namedWork, type LayersArguments } from "./layers-argument.js";

interface ResetArguments extends LayersArguments {
  yes?: boolean;
}

/** @returns the number of changes */
function showDiff({ upper, lowers }: Layers): number {
  let count = 0;
  for (const change of walkUpper(upper, lowers)) {
    process.stdout.write(changeLine(change));
    count++;
  }
  return count;
}

/** @throws CliError if nobody is there to answer */
async function confirmed(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw wrong("reset", "there is no terminal to ask the question on", "add --yes");
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  // After Ctrl-Z readline leaves its input paused, and this process would end.
  lines.on("SIGCONT", () => lines.resume());
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
  } finally {
    lines.close();
  }
}

async function reset(args: ResetArguments): Promise<void> {
  const layers = namedLayers("reset", args, "needed");
  const { upper } = layers;
  const work = namedWork(args, layers);
  const release = holdUnmounted(upper, work);
  try {
    const count = showDiff(layers);
    const yes = args.yes === true || (await confirmed(`Discard these ${count} changes of ${escapeTextName(upper.path)}?`));
    if (!yes) {
      process.stderr.write("nothing was changed\n");
      process.exitCode = 1;
      return;
    }
    resetLayer(upper, work);
    process.stderr.write(`${escapeTextName(upper.path)}: ${counted(count, "change")} discarded\n`);
  } finally {
    release();
  }
}

const NOTES = `
Shows the changes that would be lost, as 'sluice diff' does, and asks. The directory itself stays, with its owner and mode. Give
--work too: the index of hard links in it belongs to the changes. The command refuses an upper layer that is mounted.
`;

export function addResetCommand(program: Command): void {
  addLayerOptions(program.command("reset").description("discard an upper layer's changes"))
    .option("--work <dir>", "its work directory, emptied too")
    .option("--yes", "do not ask")
    .addHelpText("after", NOTES)
    .action(reset);
}
