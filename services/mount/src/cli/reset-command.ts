/** `sluice reset`: throws an upper layer's changes away. */
import { resolve } from "node:path";
import { native } from "@sluice/native";
import { AT, errnoName } from "@sluice/vfs";
import type { Command } from "commander";
import { failed } from "../complaint.js";
import { emptyTree } from "../layer-tools/empty-tree.js";
import { holdUnmounted } from "../layer-tools/hold-layer.js";
import { openTree } from "../diff/tree.js";
import { walkUpper } from "../diff/walk-upper.js";
import { toBytes } from "../path-bytes.js";
import { changeLine } from "./diff-command.js";
import { addLayerOptions, type Layers, namedLayers, type LayersArguments } from "./layers-argument.js";
import { confirmed } from "./question.js";

interface ResetArguments extends LayersArguments {
  work?: string;
  yes?: boolean;
}

/** Everything in a directory, whose names may be any bytes. */
function empty(directory: string, userXattr: boolean): void {
  const tree = openTree(directory, userXattr);
  emptyTree(tree);
  native.close(tree.fd);
}

const list = Buffer.alloc(65_536);

/** The marks of the root: where the layer came from, and whether it hides what lies below. */
function unmark(upper: string, userXattr: boolean): void {
  const prefix = userXattr ? "user.overlay." : "trusted.overlay.";
  const path = toBytes(upper);
  const length = native.listxattrat(AT.FDCWD, path, list);
  for (const name of list.toString("latin1", 0, Math.max(0, length)).split("\0")) {
    const status = name.startsWith(prefix) ? native.removexattrat(AT.FDCWD, path, name) : 0;
    if (status < 0) throw failed(upper, `its mark ${name} cannot be removed (${errnoName(-status)})`, "run as root");
  }
}

/** Returns how many changes there are. */
function showDiff({ upper, lowers, userXattr }: Layers): number {
  let count = 0;
  const trees = lowers.map((path) => openTree(path, userXattr));
  for (const change of walkUpper(openTree(upper, userXattr), trees)) {
    process.stdout.write(changeLine(change));
    count++;
  }
  return count;
}

async function reset(args: ResetArguments): Promise<void> {
  const layers = namedLayers("reset", args, "needed");
  const work = args.work === undefined ? undefined : resolve(args.work);
  const letGo = holdUnmounted(layers.upper, work);
  try {
    const count = showDiff(layers);
    const yes = args.yes === true || (await confirmed("reset", `Throw these ${count} changes of ${layers.upper} away?`));
    if (!yes) {
      process.stderr.write("nothing was changed\n");
      process.exitCode = 1;
      return;
    }
    empty(layers.upper, layers.userXattr);
    unmark(layers.upper, layers.userXattr);
    if (work !== undefined) empty(work, layers.userXattr);
    process.stderr.write(`${layers.upper}: ${count} changes thrown away\n`);
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
