/** Writes the items of a walk into a new directory: as a lower layer in the kernel's format, or as a plain tree. */
import { inDirectory, native, openBeneath } from "@sluice/native";
import { O, S } from "@sluice/vfs";
import { checked, furnish, furnitureOf, makeObject, type Spot } from "./copy-object.js";
import type { LayerStack } from "./layer-stack.js";
import type { Item } from "./walk-layers.js";

type Furnished = Extract<Item, { kind: "directory" | "object" }>;

function markOf({ opaque, redirect }: { opaque: boolean; redirect?: string | undefined }): { name: string; value: string } | undefined {
  if (redirect !== undefined) return { name: "redirect", value: redirect };
  return opaque ? { name: "opaque", value: "y" } : undefined;
}

export class LayerWriter {
  readonly #stack: LayerStack;
  readonly #root: number;
  readonly #marks: string;
  /**
   * They get their attributes last, the innermost first. Until then they belong to this process alone, so that no owner of the layer can
   * change new entries; and each new entry changes the times of its directory.
   */
  readonly #directories: Furnished[] = [];

  /** `root` is an empty directory, open for reading. It is closed at the end. */
  constructor(stack: LayerStack, root: number) {
    this.#stack = stack;
    this.#root = root;
    this.#marks = stack.trees[0]?.prefix ?? "trusted.overlay.";
  }

  async write(items: Iterable<Item>): Promise<number> {
    let count = 0;
    try {
      for (const item of items) {
        await this.#item(item);
        count++;
      }
      for (const item of this.#directories.reverse()) this.#finish(item);
      checked(await native.syncfsAsync(this.#root), "", "the new layer cannot be synced");
      return count;
    } finally {
      native.close(this.#root);
    }
  }

  async #item(item: Item): Promise<void> {
    if (item.path === "") {
      if (item.kind === "directory") this.#directories.push(item);
      return;
    }
    const slash = item.path.lastIndexOf("/");
    const parent = slash < 0 ? "." : item.path.slice(0, slash);
    const directory = checked(openBeneath(this.#root, parent, O.PATH | O.DIRECTORY, 0), item.path, "its directory cannot be opened");
    try {
      await this.#make(item, { directory, name: item.path.slice(slash + 1) });
    } finally {
      native.close(directory);
    }
  }

  #link(to: string, { directory, name }: Spot): number {
    return inDirectory(this.#root, to, (from, first) => native.linkat(from, first, directory, name, 0));
  }

  async #make(item: Item, at: Spot): Promise<void> {
    const { directory, name } = at;
    switch (item.kind) {
      case "whiteout":
        checked(native.mknodat(directory, name, S.IFCHR, 0, 0), item.path, "its whiteout cannot be made");
        return;
      case "hard-link":
        checked(this.#link(item.to, at), item.path, "it cannot be linked");
        return;
      case "directory":
        checked(native.mkdirat(directory, name, 0o700), item.path, "it cannot be made");
        this.#directories.push(item);
        return;
      case "object":
        await makeObject({ stack: this.#stack, path: item.path, object: item.object }, item.data, at);
        this.#furnish(item, at);
    }
  }

  #finish(item: Furnished): void {
    const furnishHere = (directory: number, name: string): number => {
      this.#furnish(item, { directory, name });
      return 0;
    };
    checked(inDirectory(this.#root, item.path, furnishHere), item.path, "its directory cannot be opened");
  }

  #mark(fd: number, path: string, mark: { name: string; value: string } | undefined): void {
    if (mark === undefined) return;
    const status = native.setxattrat(fd, "", `${this.#marks}${mark.name}`, Buffer.from(mark.value, "latin1"), 0);
    checked(status, path, `it cannot be marked (${mark.name})`);
  }

  /** The marks go before the mode and the times, which they would change. */
  #furnish(item: Furnished, { directory, name }: Spot): void {
    const fd = checked(native.openat(directory, name, O.PATH | O.NOFOLLOW | O.CLOEXEC, 0), item.path, "it cannot be opened");
    try {
      this.#mark(fd, item.path, item.kind === "directory" ? markOf(item) : undefined);
      furnish(furnitureOf({ stack: this.#stack, path: item.path, object: item.object }), fd);
    } finally {
      native.close(fd);
    }
  }
}
