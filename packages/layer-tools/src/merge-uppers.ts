/**
 * Walks several upper layers, one on top of the other, as the one upper layer that shows the same over any layers below them. The items are
 * in an order for writing: a directory before its entries, names sorted, the first name of a file before its hard links.
 *
 * Whiteouts and marks follow from the upper layers alone: the layers below may lack a name now and have it later. `before` tells whether an
 * item is a change now.
 */
import { type Hit, isDirectory, type LayerPath, type LayerStack, OverAnything } from "./layer-stack.js";
import { isCovered, join } from "./tree.js";
import { Deeper, unnested } from "./unnested.js";
import { dataOf, FirstNames, type Item } from "./walk-layers.js";

/** `before`: the object that the layers below show at the path. A whiteout without one hides nothing now. */
export type UpperItem = Item & { before: Hit | undefined };

type Step = UpperItem | Deeper<UpperItem>;

/** A merged directory. */
interface Merged {
  /** All directories that merge in it. */
  all: readonly LayerPath[];
  /** Those of them that the layers below have. */
  lowers: readonly LayerPath[];
  /** The path at which the layers below are searched for it, whether they have it or not; undefined if an upper layer hides them. */
  below: string | undefined;
}

class Walk {
  readonly #names = new FirstNames();
  readonly #overAnything: OverAnything;

  constructor(readonly stack: LayerStack) {
    this.#overAnything = new OverAnything(stack);
  }

  *directory(path: string, merged: Merged): Generator<Step> {
    const { all, lowers, below } = merged;
    const uppers = all.filter((place) => this.stack.isUpper(place));
    for (const name of this.stack.names(uppers)) {
      const hits = this.#seen(all, name);
      const [object] = hits;
      const item = { path: join(path, name), before: this.#seen(lowers, name)[0] };
      if (object === undefined) {
        if (below !== undefined) yield { kind: "whiteout", ...item };
      } else if (isDirectory(object.attr)) {
        yield* this.#subdirectory(item, { hits, below: this.#below(uppers, below, name) }, below);
      } else yield { ...this.#names.itemOf(item.path, object, dataOf(this.stack, hits)), before: item.before };
    }
  }

  /** A walk does not see objects of the layers below that a mount covers. */
  #seen(places: readonly LayerPath[], name: string): Hit[] {
    return this.stack.resolve(places, name).filter(({ attr }) => !isCovered(attr));
  }

  /** The path at which the layers below are searched for a directory. */
  #below(uppers: readonly LayerPath[], below: string | undefined, name: string): string | undefined {
    const places = below === undefined ? uppers : [...uppers, { layer: this.stack.uppers, path: below }];
    return this.#overAnything.resolve(places, name).find((hit) => !this.stack.isUpper(hit))?.path;
  }

  *#subdirectory({ path, before }: { path: string; before: Hit | undefined }, found: Found, parent: string | undefined): Generator<Step> {
    const { hits, below } = found;
    const opaque = below === undefined && parent !== undefined;
    const redirect = below === undefined ? undefined : redirectTo(below, { parent, name: path.slice(path.lastIndexOf("/") + 1) });
    yield { kind: "directory", path, before, object: hits[0] as Hit, opaque, redirect };
    yield new Deeper(this.directory(path, { all: hits, lowers: hits.filter((hit) => !this.stack.isUpper(hit)), below }));
  }
}

/** The merged object of a name, and the path at which the layers below are searched for it. */
interface Found {
  hits: readonly Hit[];
  below: string | undefined;
}

/** Undefined if it is searched for at its own name. A name alone if it was renamed within its directory: a path may be too long for a mark. */
function redirectTo(below: string, { parent, name }: { parent: string | undefined; name: string }): string | undefined {
  if (parent === undefined) return `/${below}`;
  if (below === join(parent, name)) return undefined;
  const last = below.slice(below.lastIndexOf("/") + 1);
  return below === join(parent, last) ? last : `/${below}`;
}

/** The changes of the upper layers, their root first. @throws CliError if a layer cannot be read */
export function* walkUppers(stack: LayerStack): Iterable<UpperItem> {
  const [top] = stack.roots();
  yield { kind: "directory", path: "", object: stack.rootOf(top as LayerPath), before: undefined, opaque: false };
  yield* unnested(new Walk(stack).directory("", { all: stack.roots(), lowers: stack.roots(stack.uppers), below: "" }));
}
