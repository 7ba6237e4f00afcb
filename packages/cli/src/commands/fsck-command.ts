/** `sluice fsck`: checks an upper layer, and mends it on request. */
import { counted, escapeName, escapeTextName } from "@sluice/runtime/cli";
import { errnoName } from "@sluice/vfs";
import type { Command } from "commander";
import { checkWorkLeft, holdUnmounted, mend, mendText, type Problem, shownPath, type Tree, UpperCheck } from "@sluice/layer-tools";
import { toText } from "@sluice/native";
import { addLayerOptions, namedLayers, namedWork, type LayersArguments, stackOf } from "./layers-argument.js";

interface FsckArguments extends LayersArguments {
  fix?: boolean;
  json?: boolean;
}

interface Outcome {
  problem: Problem;
  /** "mended", "left", or the reason why mending failed. */
  state: string;
}

function line({ problem, state }: Outcome): string {
  const { path, what, damage } = problem;
  const where = problem.in === "work" ? `work directory: ${escapeName(path)}` : shownPath(path);
  const remedy = problem.mend === undefined ? "mend it by hand" : `--fix would ${mendText(problem.mend)}`;
  const end = state === "left" ? remedy : state === "mended" && problem.mend !== undefined ? `done: ${mendText(problem.mend)}` : state;
  return `${damage ? "DAMAGE" : "untidy"}  ${where}: ${what}: ${end}\n`;
}

function plain({ problem, state }: Outcome): object {
  return { ...problem, path: toText(problem.path), mend: problem.mend === undefined ? null : mendText(problem.mend), state };
}

/** From the bottom up: a removal must not take away a directory that another path leads through. */
function mendAll(problems: readonly Problem[], fix: boolean, trees: { upper: Tree; work: Tree | undefined }): Outcome[] {
  return problems.map((problem) => {
    if (!fix || problem.mend === undefined) return { problem, state: "left" };
    const status = mend(problem, trees.upper, trees.work);
    return { problem, state: status < 0 ? `cannot ${mendText(problem.mend)} (${errnoName(-status)})` : "mended" };
  });
}

function summary(found: number, damaged: number): string {
  if (found === 0) return "no problems";
  return `${counted(found, "problem")}, ${damaged === 0 ? "no damage remains" : `damage remains at ${damaged}`}`;
}

function fsck(args: FsckArguments): void {
  const layers = namedLayers("fsck", args, "needed");
  const work = namedWork(args, layers);
  const release = holdUnmounted(layers.upper, work);
  try {
    const stack = stackOf(layers);
    const problems = [...new UpperCheck(stack).run(), ...(work === undefined ? [] : checkWorkLeft(work))];
    const outcomes = mendAll(problems, args.fix === true, { upper: layers.upper, work });
    const damaged = outcomes.filter(({ problem, state }) => problem.damage && state !== "mended").length;
    if (args.json === true) process.stdout.write(`${JSON.stringify(outcomes.map(plain), null, 2)}\n`);
    else {
      for (const outcome of outcomes) process.stdout.write(line(outcome));
      process.stdout.write(`${escapeTextName(layers.upper.path)}: ${summary(outcomes.length, damaged)}\n`);
    }
    if (damaged > 0) process.exitCode = 1;
  } finally {
    release();
  }
}

const NOTES = `
DAMAGE: the merged tree is wrong, or an object cannot be read. untidy: harmless, and mended with the rest.
Exit codes: 0 no damage is left, 1 damage is left. Name all lower layers in their order, as the mount does, and add --work to check the
remains of an interrupted mount. The command refuses an upper layer that is mounted.
`;

export function addFsckCommand(program: Command): void {
  addLayerOptions(program.command("fsck").description("check an upper layer's marks, redirects and origins, and its leftovers"))
    .option("--work <dir>", "its work directory")
    .option("--fix", "mend the problems that can be mended")
    .option("--json", "as JSON")
    .addHelpText("after", NOTES)
    .action(fsck);
}
