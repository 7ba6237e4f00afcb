/**
 * The differences between the lower layers and the merged tree, name by name: with the entries that an opaque directory deletes, with the
 * entries of renamed directories, and without copies that differ in nothing.
 */
import {
  dataOf,
  Deeper,
  type Hit,
  isCovered,
  isDirectory,
  join,
  type LayerPath,
  type LayerStack,
  type Looked,
  MountedOver,
  typeName,
  unnested,
} from "@sluice/layer-tools";
import { aspectsOf } from "./aspects.js";
import { inodeKeyOf } from "./identity.js";
import type { Difference, Move, OnProgress, Side } from "./difference.js";

export interface Differences {
  /** Sorted by the names in their paths, a directory before its entries. */
  list: Difference[];
  moves: Move[];
  /** Of upper objects with several names, by their inodes: the lower objects at those names that show no difference. */
  unchanged: ReadonlyMap<string, readonly Hit[]>;
}

function sideOf(stack: LayerStack, hits: readonly Hit[]): Side | undefined {
  const [object] = hits;
  return object === undefined ? undefined : { object, data: dataOf(stack, hits), type: typeName(object.attr) };
}

const samePlace = (one: LayerPath | undefined, other: LayerPath | undefined): boolean =>
  one?.layer === other?.layer && one?.path === other?.path;

const inside = (hits: readonly Hit[]): readonly Hit[] => (hits[0] !== undefined && isDirectory(hits[0].attr) ? hits : []);

type Step = Difference | Deeper<Difference>;

/** A directory of any size needs so many objects at once, and is opened once for them. */
const AT_ONCE = 1024;

class Comparison {
  readonly moves: Move[] = [];
  readonly unchanged = new Map<string, Hit[]>();

  constructor(readonly stack: LayerStack) {}

  *directory(path: string, now: readonly LayerPath[], then: readonly LayerPath[]): Generator<Step> {
    const names = this.#names(now, then);
    for (let at = 0; at < names.length; at += AT_ONCE) {
      const some = names.slice(at, at + AT_ONCE);
      const old = then.map((place) => this.stack.lookAll(place, some));
      const current = now.map((place) => old[then.findIndex((one) => samePlace(one, place))] ?? this.stack.lookAll(place, some));
      for (const name of some) {
        const [before, after] = [this.#resolve(then, name, old), this.#resolve(now, name, current)];
        yield* this.#name(join(path, name), before, after);
      }
    }
  }

  /** Undefined if something of it cannot be seen, since a file system is mounted over it. */
  #resolve(places: readonly LayerPath[], name: string, looked: readonly Looked[]): readonly Hit[] | undefined {
    try {
      const hits = this.stack.resolve(places, name, looked);
      return hits.some(({ attr }) => isCovered(attr)) ? undefined : hits;
    } catch (error) {
      if (error instanceof MountedOver) return undefined;
      throw error;
    }
  }

  /** If upper directories merge with the lower ones of the same place, only their own names can differ. */
  #names(now: readonly LayerPath[], then: readonly LayerPath[]): string[] {
    const upper = now.filter((place) => this.stack.isUpper(place));
    const below = now.slice(upper.length);
    const merges = below.length === then.length && below.every((place, index) => samePlace(place, then[index]));
    return this.stack.names(merges ? upper : [...now, ...then]);
  }

  *#name(path: string, then: readonly Hit[] | undefined, now: readonly Hit[] | undefined): Generator<Step> {
    if (then === undefined || now === undefined) {
      yield { path, before: undefined, after: undefined, aspects: [], isCovered: true };
      return;
    }
    if (samePlace(then[0], now[0])) return;
    const before = sideOf(this.stack, then);
    const after = sideOf(this.stack, now);
    const aspects = before === undefined || after === undefined ? [] : aspectsOf(this.stack, before, after);
    if (before === undefined || after === undefined || aspects.length > 0) yield { path, before, after, aspects };
    else this.#noteUnchanged(before.object, after.object);
    this.#noteMove(path, inside(now));
    yield new Deeper(this.directory(path, inside(now), inside(then)));
  }

  #noteUnchanged(lower: Hit, upper: Hit): void {
    if (isDirectory(upper.attr) || upper.attr.nlink < 2 || !this.stack.isUpper(upper)) return;
    const key = inodeKeyOf(upper.attr);
    this.unchanged.set(key, [...(this.unchanged.get(key) ?? []), lower]);
  }

  #noteMove(to: string, now: readonly Hit[]): void {
    const source = now.find((hit) => !this.stack.isUpper(hit));
    const isMoved = now.some((hit) => this.stack.isUpper(hit) && this.stack.mark(hit, "redirect") !== undefined);
    if (source !== undefined && isMoved) this.moves.push({ from: source.path, to });
  }
}

/** The upper layers of the stack with the layers below, against the latter alone. */
export function findDifferences(stack: LayerStack, onProgress?: OnProgress): Differences {
  const comparison = new Comparison(stack);
  const list: Difference[] = [];
  for (const one of unnested(comparison.directory("", stack.roots(), stack.roots(stack.uppers)))) {
    list.push(one);
    onProgress?.(list.length);
  }
  return { list, moves: comparison.moves, unchanged: comparison.unchanged };
}
