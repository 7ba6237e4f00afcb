/**
 * Finds renamed files: an added one that lies in a renamed directory, that was copied up from a deleted one, or that has the bytes of a
 * deleted one. Links, pipes, sockets and devices count as files, without bytes.
 */
import { type Hit, isDirectory, isRegular, type LayerStack } from "@sluice/layer-tools";
import { aspectsOf, contentKeyOf } from "./aspects.js";
import type { Difference, Side } from "./difference.js";
import { handleOf, originBelow } from "./origin.js";

interface Gone extends Difference {
  before: Side;
}
interface Come extends Difference {
  after: Side;
}

/** Deleted files by a key; each is given away once, in their order. Thousands may have the same bytes, so no search begins again. */
class GoneBy {
  readonly #paths = new Map<string, { list: Gone[]; taken: number }>();

  constructor(gone: readonly Gone[], keyOf: (gone: Gone) => string | undefined) {
    for (const one of gone) {
      const key = keyOf(one);
      if (key === undefined) continue;
      const others = this.#paths.get(key);
      if (others === undefined) this.#paths.set(key, { list: [one], taken: 0 });
      else others.list.push(one);
    }
  }

  take(key: string | undefined): Gone | undefined {
    const others = key === undefined ? undefined : this.#paths.get(key);
    return others?.list[others.taken++];
  }
}

const place = ({ layer, path }: Hit): string => `${layer}:${path}`;

/** Marks both ends of each rename. */
export function findRenames(stack: LayerStack, list: readonly Difference[]): void {
  const gone = list.filter(
    (one): one is Gone => one.after === undefined && one.before !== undefined && !isDirectory(one.before.object.attr),
  );
  const come = list.filter(
    (one): one is Come => one.before === undefined && one.after !== undefined && !isDirectory(one.after.object.attr),
  );
  if (gone.length === 0 || come.length === 0) return;
  const pair = (goneBy: GoneBy, keyOf: (come: Come) => string | undefined): void => {
    for (const one of come) {
      const old = one.from === undefined ? goneBy.take(keyOf(one)) : undefined;
      if (old === undefined) continue;
      one.from = old.path;
      old.to = one.path;
      one.aspects = aspectsOf(stack, old.before, one.after);
    }
  };
  pair(new GoneBy(gone, ({ before }) => place(before.object)), ({ after }) => place(after.object));
  const rest = gone.filter(({ to }) => to === undefined);
  pair(new GoneBy(rest, ({ before }) => handleOf(stack, before.object)), ({ after }) =>
    stack.isUpper(after.object) ? originBelow(stack, after.object) : undefined,
  );
  pairByContent(stack, { gone, come }, pair);
}

/** Only files of a size that occurs on both sides are read. An empty file is nobody's copy. */
function pairByContent(
  stack: LayerStack,
  { gone, come }: { gone: readonly Gone[]; come: readonly Come[] },
  pair: (goneBy: GoneBy, keyOf: (come: Come) => string | undefined) => void,
): void {
  const isFile = ({ object }: Side): boolean => isRegular(object.attr);
  const sizes = new Set(come.filter(({ from, after }) => from === undefined && isFile(after)).map(({ after }) => after.object.attr.size));
  sizes.delete(0);
  const candidates = gone.filter(({ to, before }) => to === undefined && isFile(before) && sizes.has(before.object.attr.size));
  const there = new Set(candidates.map(({ before }) => before.object.attr.size));
  const key = ({ object, data }: Side): string => contentKeyOf(stack, data, object.attr.size);
  pair(new GoneBy(candidates, ({ before }) => key(before)), ({ after }) =>
    isFile(after) && there.has(after.object.attr.size) ? key(after) : undefined,
  );
}
