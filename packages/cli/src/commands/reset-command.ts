/** `sluice reset`: throws an upper layer's changes away. */
import { createInterface } from "node:readline/promises";
import { emptyDirectory, native } from "@sluice/native";
import { escapeName, escapeTextName, failed, wrong } from "@sluice/runtime/cli";
import { errnoName } from "@sluice/vfs";
import type { Command } from "commander";
import { holdUnmounted, shownIn, type Tree, walkUpper } from "@sluice/layer-tools";
import { changeLine } from "./diff-command.js";
import { addLayerOptions, type Layers, namedLayers, namedWork, type LayersArguments } from "./layers-argument.js";

interface ResetArguments extends LayersArguments {
  yes?: boolean;
}

/** Everything in a directory. @throws CliError at the first thing that stays */
function empty(tree: Tree): void {
  const { status, path } = emptyDirectory(tree.fd);
  if (status >= 0) return;
  throw failed(shownIn(tree, path), `it cannot be removed (${errnoName(-status)})`, "see what keeps it (lsattr), then reset again");
}

const list = Buffer.alloc(65_536);

/** The marks of the root: where the layer came from, and whether it hides what lies below. */
function unmark({ path, fd, prefix }: Tree): void {
  const length = native.listxattrat(fd, "", list);
  for (const name of list.toString("latin1", 0, Math.max(0, length)).split("\0")) {
    const status = name.startsWith(prefix) ? native.removexattrat(fd, "", name) : 0;
    if (status < 0) throw failed(path, `its mark ${escapeName(name)} cannot be removed (${errnoName(-status)})`, "run as root");
  }
}

/** Returns how many changes there are. */
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
  const letGo = holdUnmounted(upper, work);
  try {
    const count = showDiff(layers);
    const yes = args.yes === true || (await confirmed(`Throw these ${count} changes of ${escapeTextName(upper.path)} away?`));
    if (!yes) {
      process.stderr.write("nothing was changed\n");
      process.exitCode = 1;
      return;
    }
    empty(upper);
    unmark(upper);
    if (work !== undefined) empty(work);
    process.stderr.write(`${escapeTextName(upper.path)}: ${count} changes thrown away\n`);
  } finally {
    letGo();
  }
}

const NOTES = `
Shows what would be lost, as 'sluice diff' does, and asks. The directory itself stays, with its owner and mode. Give --work too: what
lies in it (the index of hard links) belongs to what is thrown away. While the upper layer is mounted this is refused.
`;

export function addResetCommand(program: Command): void {
  addLayerOptions(program.command("reset").description("throw an upper layer's changes away"))
    .option("--work <dir>", "its work directory, emptied too")
    .option("--yes", "do not ask")
    .addHelpText("after", NOTES)
    .action(reset);
}
