/**
 * Walks several upper layers, one on top of the other, as the one upper layer that shows the same over the layers below them. The items are
 * in an order for writing: a directory before its entries, names sorted, the first name of a file before its hard links.
 */
import type { LayerPath, LayerStack } from "./layer-stack.js";
import { type Hit, isDirectory } from "./layer-stack.js";
import { join } from "./tree.js";
import { Deeper, unnested } from "./unnested.js";
import { dataOf, FirstNames, type Item } from "./walk-layers.js";

/** `before`: the object that the layers below show at the path. */
export type UpperItem = Item & { before: Hit | undefined };

type Step = UpperItem | Deeper<UpperItem>;

class Walk {
  readonly #names = new FirstNames();

  constructor(readonly stack: LayerStack) {}

  /** `now`: all directories that merge here. `then`: those that the layers below have at this path. */
  *directory(path: string, now: readonly LayerPath[], then: readonly LayerPath[]): Generator<Step> {
    for (const name of this.stack.names(now.filter((place) => this.stack.isUpper(place)))) {
      const hits = this.stack.resolve(now, name);
      const old = this.stack.resolve(then, name);
      const [object] = hits;
      const item = { path: join(path, name), before: old[0] };
      if (object === undefined) {
        if (old.length > 0) yield { kind: "whiteout", ...item };
      } else if (isDirectory(object.attr)) {
        yield* this.#subdirectory(item, { hits, parent: then[0] });
      } else yield { ...this.#names.itemOf(item.path, object, dataOf(this.stack, hits)), before: item.before };
    }
  }

  *#subdirectory({ path, before }: { path: string; before: Hit | undefined }, { hits, parent }: Found): Generator<Step> {
    const below = hits.filter((hit) => !this.stack.isUpper(hit));
    const [source] = below;
    const merges = source !== undefined && source.layer === before?.layer && source.path === before.path;
    const opaque = source === undefined && before !== undefined;
    const redirect = source === undefined || merges ? undefined : redirectTo(source, parent);
    yield { kind: "directory", path, before, object: hits[0] as Hit, opaque, redirect };
    yield new Deeper(this.directory(path, hits, below));
  }
}

/** The merged object of a name, and its directory in the layers below. */
interface Found {
  hits: readonly Hit[];
  parent: LayerPath | undefined;
}

/** A name alone if the directory was renamed within its directory: a path may be too long for a mark. */
function redirectTo(source: LayerPath, parent: LayerPath | undefined): string {
  const slash = source.path.lastIndexOf("/");
  const inParent = parent?.layer === source.layer && parent.path === source.path.slice(0, Math.max(0, slash));
  return inParent ? source.path.slice(slash + 1) : `/${source.path}`;
}

/** The changes of the upper layers, their root first. @throws CliError if a layer cannot be read */
export function* walkUppers(stack: LayerStack): Iterable<UpperItem> {
  const [top] = stack.roots();
  yield { kind: "directory", path: "", object: stack.rootOf(top as LayerPath), before: undefined, opaque: false };
  yield* unnested(new Walk(stack).directory("", stack.roots(), stack.roots(stack.uppers)));
}
