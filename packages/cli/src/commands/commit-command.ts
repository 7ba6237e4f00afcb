/** `sluice commit`: the upper layer as a new lower one. */
import { fstatSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { native, openBeneath, removeTree, toBytes, toText } from "@sluice/native";
import { escapeTextName, unfit, wrong } from "@sluice/runtime/cli";
import { Errno, errnoName, O, RENAME } from "@sluice/vfs";
import type { Command } from "commander";
import { find, holdUnmounted, LayerWriter, openTree, type Tree, walkChanges, walkMerged } from "@sluice/layer-tools";
import { addLayerOptions, namedLayers, type LayersArguments, stackOf } from "./layers-argument.js";

interface CommitArguments extends LayersArguments {
  into?: string;
  flatten?: boolean;
}

/** The new layer under another name until it is whole; by descriptors, as its parent directory may be somebody else's. */
class NewLayer {
  readonly #into: string;
  readonly #parent: Tree;
  readonly #name: string;
  readonly #partial: string;
  readonly fd: number;

  /** @throws CliError */
  constructor(into: string) {
    this.#into = into;
    this.#parent = openTree(dirname(into), false);
    this.#name = toBytes(basename(into));
    this.#partial = `.${this.#name}.sluice-partial`;
    if (find(this.#parent, "", this.#name) !== undefined)
      throw unfit(into, "it is there already (EEXIST)", "name a directory that is to be made");
    const made = native.mkdirat(this.#parent.fd, this.#partial, 0o700);
    if (made < 0) throw unfit(into, `it cannot be made (${errnoName(-made)})`, this.#remedy(made));
    this.fd = openBeneath(this.#parent.fd, this.#partial, O.RDONLY | O.DIRECTORY, 0);
    if (this.fd < 0 || fstatSync(this.fd).uid !== process.geteuid?.())
      throw unfit(into, "somebody else put another directory in its place (EPERM)", "choose a directory that only you can write");
  }

  #remedy(errno: number): string {
    if (errno !== -Errno.EEXIST) return "choose a directory that can be written";
    return `remove ${join(dirname(this.#into), toText(this.#partial))}, which an interrupted commit left`;
  }

  /** @throws CliError */
  publish(): void {
    const status = native.renameat2(this.#parent.fd, this.#partial, this.#parent.fd, this.#name, RENAME.NOREPLACE);
    if (status < 0) throw unfit(this.#into, `it cannot be put in place (${errnoName(-status)})`, "name a directory that is to be made");
  }

  discard(): void {
    removeTree(this.#parent.fd, this.#partial);
  }
}

async function commit(args: CommitArguments): Promise<void> {
  if (args.into === undefined || args.into === "") throw wrong("commit", "the new layer has no name", "add --into DIR");
  const into = resolve(args.into);
  const layers = namedLayers("commit", args, "needed");
  const letGo = holdUnmounted(layers.upper, undefined);
  const stack = stackOf(layers);
  const made = new NewLayer(into);
  try {
    const count = await new LayerWriter(stack, made.fd).write(args.flatten === true ? walkMerged(stack) : walkChanges(stack));
    made.publish();
    const mountedWith = args.flatten === true ? into : [into, ...layers.lowers.map(({ path }) => path)].join(":");
    process.stdout.write(`${escapeTextName(into)}: ${count} objects; mount it with --lower ${escapeTextName(mountedWith)}\n`);
  } catch (error) {
    made.discard();
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
