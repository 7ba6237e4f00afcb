/**
 * Walks the content of layers in an order for writing: a directory before its entries, names sorted, the first name of a file before its
 * hard links. It gives either the whole merged tree, or the changes of the upper layer, with the lower content of redirects and
 * metadata-only copies, so that the result needs no such marks.
 */
import { escapeName, unfit } from "@sluice/runtime/cli";
import { join } from "./tree.js";
import { Deeper, unnested } from "./unnested.js";
import { type Hit, isDirectory, isRegular, type LayerStack, type LayerPath } from "./layer-stack.js";

export type Item =
  /** `opaque`: it hides the lower directories. `redirect`: the mark that leads to the one that it merges with. */
  | { kind: "directory"; path: string; object: Hit; opaque: boolean; redirect?: string | undefined }
  /** `data`: the object with the bytes of a regular file. */
  | { kind: "object"; path: string; object: Hit; data: Hit }
  | { kind: "hard-link"; path: string; object: Hit; to: string }
  | { kind: "whiteout"; path: string };

/** The first name of each file with several names. */
export class FirstNames {
  readonly #paths = new Map<string, string>();

  itemOf(path: string, object: Hit, data: Hit): Item {
    const { words, nlink } = object.attr;
    if (nlink < 2) return { kind: "object", path, object, data };
    const key = `${object.layer} ${words[22]}:${words[23]} ${words[1]}:${words[0]}`;
    const to = this.#paths.get(key);
    if (to !== undefined) return { kind: "hard-link", path, object, to };
    this.#paths.set(key, path);
    return { kind: "object", path, object, data };
  }
}

/** The object with the bytes of a regular file; of anything else the object itself. @throws CliError if no layer has them */
export function dataOf(stack: LayerStack, hits: readonly Hit[]): Hit {
  const object = hits[0] as Hit;
  if (!isRegular(object.attr)) return object;
  const data = hits.find(({ metacopy }) => !metacopy);
  if (data !== undefined) return data;
  throw unfit(stack.shown(object), "it is a metadata-only copy whose data lies in no layer given", "give all its layers with --lower");
}

type Step = Item | Deeper<Item>;

class Walk {
  readonly #names = new FirstNames();

  constructor(readonly stack: LayerStack) {}

  *merged(directory: string, places: readonly LayerPath[]): Generator<Step> {
    for (const name of this.stack.names(places)) {
      const hits = this.stack.resolve(places, name);
      if (hits.length > 0) yield* this.#whole(join(directory, name), hits, false);
    }
  }

  /** An object with all directories that merge into it. */
  *#whole(path: string, hits: readonly Hit[], opaque: boolean): Generator<Step> {
    const object = hits[0] as Hit;
    if (!isDirectory(object.attr)) {
      yield this.#names.itemOf(path, object, dataOf(this.stack, hits));
      return;
    }
    yield { kind: "directory", path, object, opaque };
    yield new Deeper(this.merged(path, hits));
  }

  /** `below`: the directories that the upper one merges with. */
  *changes(directory: string, upper: LayerPath, below: readonly LayerPath[]): Generator<Step> {
    for (const name of this.stack.names([upper])) {
      const path = join(directory, name);
      const hit = this.stack.look(upper, name);
      if (hit === "whiteout") yield { kind: "whiteout", path };
      else if (hit !== undefined) yield* this.#change(path, hit, this.stack.resolve([upper, ...below], name));
    }
  }

  *#change(path: string, hit: Hit, hits: readonly Hit[]): Generator<Step> {
    if (!isDirectory(hit.attr)) {
      yield this.#names.itemOf(path, hit, dataOf(this.stack, hits));
      return;
    }
    if (this.stack.mark(hit, "redirect") !== undefined) {
      if (hits.length < 2)
        throw unfit(
          this.stack.shown(hit),
          "its origin before the rename is in none of the given layers",
          "give all its layers with --lower",
        );
      yield* this.#whole(path, hits, true);
      return;
    }
    yield { kind: "directory", path, object: hit, opaque: hit.opaque };
    yield new Deeper(this.changes(path, hit, hits.slice(1)));
  }
}

function root(stack: LayerStack): Item {
  const [top] = stack.roots();
  return { kind: "directory", path: "", object: stack.rootOf(top as LayerPath), opaque: false };
}

/** The merged tree, its root first. */
export function* walkMerged(stack: LayerStack): Iterable<Item> {
  yield root(stack);
  yield* unnested(new Walk(stack).merged("", stack.roots()));
}

/** The changes of the topmost layer, its root first. */
export function* walkChanges(stack: LayerStack): Iterable<Item> {
  yield root(stack);
  const [upper, ...below] = stack.roots();
  yield* unnested(new Walk(stack).changes("", upper as LayerPath, below));
}

/** For messages. */
export const shownPath = (path: string): string => (path === "" ? "/" : escapeName(path));
