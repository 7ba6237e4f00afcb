/**
 * Makes a failing sequence small: leaves out parts as long as it still fails in the same way (delta debugging). Many
 * candidates share one mount, each in a directory of its own.
 */
import { compareRound, type Failure } from "../compare/compare.js";
import type { MountOptions } from "../run/mount-side.js";
import { type NamedSequence, runRound } from "../run/round.js";
import { isControl, type Operation } from "../script/operation.js";
import type { Plant, Sequence, Setting } from "../script/script.js";

type Element = { plant: Plant } | { operation: Operation };

export interface ShrinkOptions extends MountOptions {
  /** How often the whole set may be mounted. */
  rounds: number;
}

/** The kind of failure without names and numbers: a candidate must still fail in this way. */
function manner({ where, kernel, sluice }: Failure): string {
  const place = /^\d+ \w+ (\w+)/.exec(where)?.[1] ?? where.split(" ")[0] ?? "";
  const value = (one: unknown): string =>
    one === undefined ? "nothing" : typeof one === "string" ? (one.split(" ")[0] ?? "") : typeof one;
  return `${place} ${value(kernel)} ${value(sluice)}`;
}

function elementsOf({ plants, operations }: Sequence): Element[] {
  return [...plants.map((plant) => ({ plant })), ...operations.map((operation) => ({ operation }))];
}

function sequenceOf(elements: readonly Element[]): Sequence {
  return {
    plants: elements.flatMap((element) => ("plant" in element ? [element.plant] : [])),
    operations: elements.flatMap((element) => ("operation" in element ? [element.operation] : [])),
  };
}

/** All sequences of a mount are remounted together: only candidates with the same controls may share one. */
function controlsOf(elements: readonly Element[]): string {
  return sequenceOf(elements)
    .operations.filter(({ call }) => isControl(call))
    .map(({ call }) => call)
    .join();
}

/** The first parts of its paths; none for calls on open files, which go with their opens. */
function namesIn(element: Element): string[] {
  if ("plant" in element) return [firstName(element.plant.path)];
  const { call, args } = element.operation;
  const paths = [args["path"], args["to"]].flatMap((path) => (typeof path === "string" ? [firstName(path)] : []));
  return paths.length === 0 ? [isControl(call) ? CONTROL : DESCRIPTOR] : paths;
}

const CONTROL = "a control";
const DESCRIPTOR = "a descriptor";

function firstName(path: string): string {
  return path.split("/")[0] ?? "";
}

/** "upper s0/a/b" is about "a"; so is a call on "a/b". */
function concerned({ where, sequence }: Failure): Set<string> {
  const call = /^\d+ \w+ \w+ (\{.*\}) /.exec(where)?.[1];
  const args = call === undefined ? {} : (JSON.parse(call) as Record<string, unknown>);
  const paths = [args["path"], args["to"]].filter((path): path is string => typeof path === "string");
  const tree = where.includes(` ${sequence.name}/`) ? [where.slice(where.indexOf(` ${sequence.name}/`) + sequence.name.length + 2)] : [];
  return new Set([...[...paths, ...tree].map(firstName), DESCRIPTOR, CONTROL]);
}

class Shrinker {
  readonly #setting: Setting;
  readonly #wanted: string;
  readonly #options: ShrinkOptions;
  #left: number;

  constructor(setting: Setting, wanted: string, options: ShrinkOptions) {
    this.#setting = setting;
    this.#wanted = wanted;
    this.#options = options;
    this.#left = options.rounds;
  }

  get spent(): boolean {
    return this.#left <= 0;
  }

  /** For each candidate, whether it still fails. */
  async #fails(candidates: readonly Element[][]): Promise<boolean[]> {
    const failing = new Set<Element[]>();
    for (const controls of new Set(candidates.map(controlsOf))) {
      const group = candidates.filter((candidate) => controlsOf(candidate) === controls);
      const sequences: NamedSequence[] = group.map((candidate, index) => ({ name: `s${index}`, ...sequenceOf(candidate) }));
      this.#left -= 1;
      const { failures } = compareRound(this.#setting, sequences, await runRound(this.#setting, sequences, this.#options));
      for (const failure of failures) {
        const candidate = group[sequences.indexOf(failure.sequence)];
        if (manner(failure) === this.#wanted && candidate !== undefined) failing.add(candidate);
      }
    }
    return candidates.map((candidate) => failing.has(candidate));
  }

  /** Keeps only the parts that concern the difference, if they suffice. */
  async narrow(elements: Element[], names: ReadonlySet<string>): Promise<Element[]> {
    const narrowed = elements.filter((element) => namesIn(element).some((name) => names.has(name)));
    if (narrowed.length === 0 || narrowed.length === elements.length) return elements;
    const [still] = await this.#fails([narrowed]);
    return still === true ? narrowed : elements;
  }

  /** Leaves out chunks of one size, all of them at once if possible. */
  async pass(elements: Element[], size: number): Promise<Element[]> {
    const chunks = Array.from({ length: Math.ceil(elements.length / size) }, (_, index) =>
      elements.slice(index * size, (index + 1) * size),
    );
    const without = (gone: readonly Element[][]): Element[] => chunks.filter((chunk) => !gone.includes(chunk)).flat();
    const still = await this.#fails(chunks.map((chunk) => without([chunk])));
    const removable = chunks.filter((_, index) => still[index]);
    if (removable.length === 0) return elements;
    // All of them, or the first half, quarter, …: one of them alone can be left out, as is known.
    const guesses: Element[][] = [];
    for (let count = removable.length; count > 1; count = Math.floor(count / 2)) {
      guesses.push(without(removable.slice(0, count)), without(removable.slice(-count)));
    }
    const good = guesses.length === 0 ? [] : await this.#fails(guesses);
    return guesses.find((_, index) => good[index]) ?? without(removable.slice(0, 1));
  }
}

/** Returns the smallest sequence found that fails in the same way. */
export async function shrink(setting: Setting, failure: Failure, options: ShrinkOptions): Promise<Sequence> {
  const shrinker = new Shrinker(setting, manner(failure), options);
  const at = Number.parseInt(failure.where, 10);
  const { plants, operations } = failure.sequence;
  // Calls after the difference do not matter; its number does not count controls.
  let left = Number.isNaN(at) ? operations.length : at;
  const needed = operations.filter(({ call }) => isControl(call) || left-- > 0);
  let elements = await shrinker.narrow(elementsOf({ plants, operations: needed }), concerned(failure));
  for (let size = Math.ceil(elements.length / 4); size >= 1 && !shrinker.spent; ) {
    const smaller = await shrinker.pass(elements, size);
    const stuck = smaller.length === elements.length;
    elements = smaller;
    if (stuck && size === 1) break;
    size = stuck ? Math.floor(size / 2) : Math.min(size, Math.ceil(elements.length / 2));
  }
  return sequenceOf(elements);
}
