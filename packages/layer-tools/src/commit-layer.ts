/** Folds an upper layer into a new lower one: writes it under another name, and renames it once it is complete. */
import { fstatSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { native, openBeneath, removeTree, toBytes, toText } from "@sluice/native";
import { unfit } from "@sluice/runtime/cli";
import { Errno, errnoName, O, RENAME } from "@sluice/vfs";
import { checkOutside } from "./check-disjoint.js";
import type { LayerStack } from "./layer-stack.js";
import { find, openTree, type Tree } from "./tree.js";
import { walkChanges, walkMerged } from "./walk-layers.js";
import { LayerWriter } from "./write-layer.js";

/** The directory of the new layer. All calls go by descriptors, since its parent directory may belong to another user. */
class NewLayer {
  readonly #path: string;
  readonly #parent: Tree;
  readonly #name: string;
  readonly #partial: string;
  readonly fd: number;

  /** @throws CliError */
  constructor(path: string, layers: readonly Tree[]) {
    this.#path = path;
    this.#parent = openTree(dirname(path), false);
    // In the upper layer it would be copied into itself, without end.
    checkOutside(path, this.#parent.fd, layers);
    this.#name = toBytes(basename(path));
    this.#partial = `.${this.#name}.sluice-partial`;
    if (find(this.#parent, "", this.#name) !== undefined)
      throw unfit(path, "it exists already (EEXIST)", "name a directory that does not exist");
    const made = native.mkdirat(this.#parent.fd, this.#partial, 0o700);
    if (made < 0) throw unfit(path, `it cannot be created (${errnoName(-made)})`, this.#remedy(made));
    this.fd = openBeneath(this.#parent.fd, this.#partial, O.RDONLY | O.DIRECTORY, 0);
    if (this.fd < 0 || fstatSync(this.fd).uid !== process.geteuid?.())
      throw unfit(path, "another user put a different directory in its place (EPERM)", "choose a directory that only you can write");
  }

  #remedy(errno: number): string {
    if (errno !== -Errno.EEXIST) return "choose a directory that can be written";
    return `remove ${join(dirname(this.#path), toText(this.#partial))}, which an interrupted commit left`;
  }

  /** @throws CliError */
  publish(): void {
    const status = native.renameat2(this.#parent.fd, this.#partial, this.#parent.fd, this.#name, RENAME.NOREPLACE);
    if (status < 0)
      throw unfit(this.#path, `it cannot be renamed to its name (${errnoName(-status)})`, "name a directory that does not exist");
  }

  discard(): void {
    removeTree(this.#parent.fd, this.#partial);
  }
}

/** Writes to `path`, which must not exist: the changes of the top layer, or the whole merged tree. @returns the number of objects. @throws CliError */
export async function commitLayer(stack: LayerStack, path: string, flatten: boolean): Promise<number> {
  const made = new NewLayer(path, stack.trees);
  try {
    const count = await new LayerWriter(stack, made.fd).write(flatten ? walkMerged(stack) : walkChanges(stack));
    made.publish();
    return count;
  } catch (error) {
    made.discard();
    throw error;
  }
}
