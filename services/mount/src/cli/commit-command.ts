/** `sluice commit`: the upper layer as a new lower one. */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import { codeOf, unfit, wrong } from "../complaint.js";
import { holdUnmounted } from "../layer-tools/hold-layer.js";
import { walkChanges, walkMerged } from "../layer-tools/walk-layers.js";
import { LayerWriter } from "../layer-tools/write-layer.js";
import { addLayerOptions, namedLayers, type LayersArguments, stackOf } from "./layers-argument.js";

interface CommitArguments extends LayersArguments {
  into?: string;
  flatten?: boolean;
}

/** Under another name until it is whole. */
function makePartial(into: string): string {
  if (existsSync(into)) throw unfit(into, "it is there already (EEXIST)", "name a directory that is to be made");
  const partial = join(dirname(into), `.${basename(into)}.sluice-partial`);
  try {
    mkdirSync(partial, { mode: 0o700 });
  } catch (error) {
    const remedy =
      codeOf(error) === "EEXIST" ? `remove ${partial}, which an interrupted commit left` : "choose a directory that can be written";
    throw unfit(into, `it cannot be made (${codeOf(error)})`, remedy);
  }
  return partial;
}

async function commit(args: CommitArguments): Promise<void> {
  if (args.into === undefined || args.into === "") throw wrong("commit", "the new layer has no name", "add --into DIR");
  const into = resolve(args.into);
  const layers = namedLayers("commit", args, "needed");
  const letGo = holdUnmounted(layers.upper, undefined);
  const stack = stackOf(layers);
  const partial = makePartial(into);
  try {
    const count = await new LayerWriter(stack, partial).write(args.flatten === true ? walkMerged(stack) : walkChanges(stack));
    renameSync(partial, into);
    const mountedWith = args.flatten === true ? into : [into, ...layers.lowers].join(":");
    process.stdout.write(`${into}: ${count} objects; mount it with --lower ${mountedWith}\n`);
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw error;
  } finally {
    letGo();
  }
}

const NOTES = `
The new layer is put on top of the same lower layers, or with --flatten stands for all of them. It needs no mark but whiteouts and
opaque directories: what was renamed or copied by metadata only is written out. The upper layer stays as it is; 'sluice reset' empties it.
While the upper layer is mounted this is refused.

Example:
  sluice commit --upper /srv/changes --lower /srv/base --into /srv/layer-1
  sluice mount --lower /srv/layer-1:/srv/base --upper /srv/changes-2 --work /srv/work-2 /mnt/view
`;

export function addCommitCommand(program: Command): void {
  addLayerOptions(program.command("commit").description("fold the upper layer into a new lower one"))
    .option("--into <dir>", "the new layer; it must not be there yet")
    .option("--flatten", "the whole merged tree as one plain directory")
    .addHelpText("after", NOTES)
    .action(commit);
}
