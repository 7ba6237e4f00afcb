/** `sluice commit`: the upper layer as a new lower one. */
import { resolve } from "node:path";
import { commitLayer, holdUnmounted } from "@sluice/layer-tools";
import { escapeTextName, wrong } from "@sluice/runtime/cli";
import type { Command } from "commander";
import { addLayerOptions, namedLayers, type LayersArguments, stackOf } from "./layers-argument.js";

interface CommitArguments extends LayersArguments {
  into?: string;
  flatten?: boolean;
}

async function commit(args: CommitArguments): Promise<void> {
  if (args.into === undefined || args.into === "") throw wrong("commit", "the new layer has no name", "add --into DIR");
  const into = resolve(args.into);
  const flatten = args.flatten === true;
  const layers = namedLayers("commit", args, "needed");
  const release = holdUnmounted(layers.upper, undefined);
  try {
    const count = await commitLayer(stackOf(layers), into, flatten);
    const below = [...layers.lowers.map(({ path }) => `:${path}`), ...layers.dataLowers.map(({ path }) => `::${path}`)];
    const mountedWith = flatten ? into : [into, ...below].join("");
    process.stdout.write(`${escapeTextName(into)}: ${count} objects; mount it with --lower ${escapeTextName(mountedWith)}\n`);
  } finally {
    release();
  }
}

const NOTES = `
Put the new layer on top of the same lower layers; with --flatten it replaces all of them. It needs no marks except whiteouts and
opaque directories: renamed directories and metadata-only copies are written in full. The upper layer stays as it is; 'sluice reset'
empties it. The command refuses an upper layer that is mounted.

Example:
  sluice commit --upper /srv/changes --lower /srv/base --into /srv/layer-1
  sluice mount --lower /srv/layer-1:/srv/base --upper /srv/changes-2 --work /srv/work-2 /mnt/view
`;

export function addCommitCommand(program: Command): void {
  addLayerOptions(program.command("commit").description("fold the upper layer into a new lower one"))
    .option("--into <dir>", "the new layer; it must not exist yet")
    .option("--flatten", "write the whole merged tree as one plain directory")
    .addHelpText("after", NOTES)
    .action(commit);
}
