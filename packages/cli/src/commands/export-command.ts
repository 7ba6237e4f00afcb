/** `sluice export`: the upper layer as a layer of an OCI image. */
import { closeSync, constants, createWriteStream, existsSync, lstatSync, openSync, rmSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { codeOf, counted, escapeName, escapeTextName, failed, wrong } from "@sluice/runtime/cli";
import type { Command } from "commander";
import { checkOutside, LayerExport, type LayerStack } from "@sluice/layer-tools";
import { addLayerOptions, layersOf, type LayersArguments, stackOf } from "./layers-argument.js";
import { controlOption } from "./shared-options.js";

interface ExportArguments extends LayersArguments {
  output?: string;
}

const ENDING = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Half an archive looks complete. A device or a pipe is not ours to remove. */
function removeHalf(output: string): void {
  if (lstatSync(output, { throwIfNoEntry: false })?.isFile() === true) rmSync(output);
}

/** A signal ends this process as if nobody had caught it. @returns a function that stops it */
function removeHalfAtSignal(output: string): () => void {
  const end = (signal: NodeJS.Signals): void => {
    stop();
    removeHalf(output);
    process.kill(process.pid, signal);
  };
  const stop = (): void => {
    for (const signal of ENDING) process.off(signal, end);
  };
  for (const signal of ENDING) process.on(signal, end);
  return stop;
}

/** It would be a part of itself, or take the place of a file of the layer. @throws CliError */
function refuseWithin(stack: LayerStack, output: string): void {
  const directory = dirname(resolve(output));
  if (!existsSync(directory)) return;
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    checkOutside(output, fd, stack.trees);
  } finally {
    closeSync(fd);
  }
}

async function exportLayer(mountpoint: string | undefined, args: ExportArguments): Promise<void> {
  const stack = stackOf(await layersOf("export", mountpoint, args));
  const { output } = args;
  if (output === undefined && process.stdout.isTTY)
    throw wrong("export", "refusing to write a tar archive to a terminal", "add --output FILE, or pipe it");
  if (output !== undefined) refuseWithin(stack, output);
  const into = output === undefined ? process.stdout : createWriteStream(output, { mode: 0o600 });
  const stop = output === undefined ? undefined : removeHalfAtSignal(output);
  try {
    const { objects, left } = await new LayerExport(stack, into).run();
    for (const path of left) process.stderr.write(`sluice: ${escapeName(path)}: omitted: a tar archive cannot hold a socket\n`);
    if (output !== undefined) process.stderr.write(`${escapeTextName(output)}: ${counted(objects, "object")}\n`);
  } catch (error) {
    if (output !== undefined) removeHalf(output);
    if (error instanceof Error && "syscall" in error)
      throw failed(
        output ?? "standard output",
        `the archive cannot be written (${codeOf(error)})`,
        "name a file that can be written, on a disk with room",
      );
    throw error;
  } finally {
    stop?.();
  }
}

const NOTES = `
Whiteouts become .wh.NAME, and opaque directories get a .wh..wh..opq. The archive preserves extended attributes (PAX, SCHILY.xattr)
and hard links. The same tree gives the same bytes. Content of renamed directories and metadata-only copies comes from the lower
layers. Do not change the layers during the export.

Examples:
  sluice export /mnt/view --output layer.tar
  sluice export --upper /srv/changes --lower /srv/base | gzip > layer.tar.gz
`;

export function addExportCommand(program: Command): void {
  addLayerOptions(
    program
      .command("export")
      .description("write the upper layer as a layer of an OCI image (tar)")
      .argument("[mountpoint]", "the mount whose upper layer is wanted; or give --upper"),
  )
    .option("--output <file>", "write the archive to this file; by default to standard output")
    .addOption(controlOption())
    .addHelpText("after", NOTES)
    .action(exportLayer);
}
