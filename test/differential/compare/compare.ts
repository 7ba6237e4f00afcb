/** Compares the results of a sequence on both sides, and reports the first difference that has no intended reason. */
import type { Snapshot } from "../../conformance/tree/snapshot-tree.js";
import type { NamedSequence, RoundResult, Step } from "../run/round.js";
import { formatOperation } from "../script/operation.js";
import type { Setting } from "../script/script.js";
import { historyOf, nameOf, refusedNames } from "./history.js";
import {
  explanationsOf,
  type Found,
  type History,
  type IntendedDifference,
  intendedDifferences,
  spoiltBy,
} from "./intended-differences.js";

export interface Failure {
  sequence: NamedSequence;
  /** "17 alice rename {…}", or "merged a/b". */
  where: string;
  kernel: unknown;
  sluice: unknown;
}

export interface RoundOutcome {
  failures: Failure[];
  /** The count of each intended difference, by name. */
  intended: Map<string, number>;
}

/** The portable engine transfers milliseconds: smaller units are not compared there. */
function inMilliseconds(text: string | undefined): string | undefined {
  return text?.replace(/\b(\d+\.\d{3})\d{6}\b/g, "$1");
}

function same({ mode }: Setting, one: unknown, other: unknown): boolean {
  const [a, b] = [JSON.stringify(one), JSON.stringify(other)];
  return a === b || (mode === "portable" && inMilliseconds(a) === inMilliseconds(b));
}

class Comparison {
  readonly outcome: RoundOutcome;
  readonly #setting: Setting;
  #ended = false;

  constructor(setting: Setting, outcome: RoundOutcome) {
    this.#setting = setting;
    this.outcome = outcome;
  }

  compare(sequence: NamedSequence, steps: readonly Step[], trees: RoundResult["trees"]): Failure | undefined {
    for (const [index, step] of steps.entries()) {
      const failure = this.#step(sequence, step, { index, before: steps.slice(0, index) });
      if (failure !== undefined || this.#ended) return failure;
      const spoilt = spoiltBy(step, this.#setting.mode);
      if (spoilt === undefined) continue;
      this.#count(spoilt);
      return undefined;
    }
    return this.#trees(sequence, steps, trees);
  }

  #step(sequence: NamedSequence, step: Step, { index, before }: { index: number; before: readonly Step[] }): Failure | undefined {
    const { operation, kernel, sluice } = step;
    const parts = Math.max(kernel.results.length, sluice.results.length);
    for (let part = 0; part < parts; part++) {
      if (this.#ended) return undefined;
      const [one, other] = [kernel.results[part], sluice.results[part]];
      if (same(this.#setting, one, other)) continue;
      const facts = kernel.facts ?? { state: "absent" as const };
      const refused = refusedNames(sequence.name, before).has(`${sequence.name}/${nameOf(step, before)}`);
      const swapped = sequence.operations.some(({ call }) => call === "swap");
      const place = { kind: "step" as const, operation, facts, part, refused, swapped };
      const history = historyOf(this.#setting, sequence, before);
      if (this.#explained({ mode: this.#setting.mode, place, kernel: one, sluice: other, history })) continue;
      return { sequence, where: `${index + 1} ${formatOperation(operation)} (${kernel.facts?.state})`, kernel: one, sluice: other };
    }
    return undefined;
  }

  #explained(found: Found): boolean {
    const explanations = explanationsOf(found);
    for (const explanation of explanations) {
      this.#count(explanation);
      if (explanation.ends === true) this.#ended = true;
    }
    return explanations.length > 0;
  }

  #count({ name }: IntendedDifference): void {
    this.outcome.intended.set(name, (this.outcome.intended.get(name) ?? 0) + 1);
  }

  #trees(sequence: NamedSequence, steps: readonly Step[], { kernel, sluice }: RoundResult["trees"]): Failure | undefined {
    const refused = refusedNames(sequence.name, steps);
    const swapped = sequence.operations.some(({ call }) => call === "swap");
    const common = { refused, swapped, history: historyOf(this.#setting, sequence, steps) };
    for (const kind of ["merged", "upper"] as const) {
      const failure = this.#tree(sequence, { kind, ...common }, kernel[kind], sluice[kind]);
      if (failure !== undefined) return failure;
    }
    return this.#untouched(sequence, kernel, "kernel") ?? this.#untouched(sequence, sluice, "sluice");
  }

  #tree(
    sequence: NamedSequence,
    { history, ...common }: { kind: "merged" | "upper"; refused: ReadonlySet<string>; swapped: boolean; history: History },
    kernel: Snapshot,
    sluice: Snapshot,
  ): Failure | undefined {
    for (const path of pathsBelow(sequence.name, kernel, sluice)) {
      const [one, other] = [kernel[path], sluice[path]];
      const place = { ...common, path, ours: sluice, theirs: kernel };
      if (same(this.#setting, one, other) || this.#explained({ mode: this.#setting.mode, place, kernel: one, sluice: other, history }))
        continue;
      return { sequence, where: `${common.kind} ${path}`, kernel: one, sluice: other };
    }
    return undefined;
  }

  /** The lower layers are unchanged, and the other implementation shows the same tree over the resulting layers. */
  #untouched(sequence: NamedSequence, trees: RoundResult["trees"]["kernel"], side: string): Failure | undefined {
    for (const [index, before] of trees.lowersBefore.entries()) {
      const after = trees.lowersAfter[index] ?? {};
      const byKernel = side === "kernel" || sequence.operations.some(({ call }) => call === "swap");
      const path = pathsBelow(sequence.name, before, after).find((one) => lasting(before[one], byKernel) !== lasting(after[one], byKernel));
      if (path !== undefined) return { sequence, where: `lower${index} ${path} on ${side}`, kernel: before[path], sluice: after[path] };
    }
    const { merged, remounted } = trees;
    const path = pathsBelow(sequence.name, merged, remounted).find((one) => !same(this.#setting, merged[one], remounted[one]));
    if (path === undefined) return undefined;
    return { sequence, where: `after a change of hands from ${side}: ${path}`, kernel: merged[path], sluice: remounted[path] };
  }
}

function pathsBelow(name: string, ...snapshots: readonly Snapshot[]): string[] {
  const paths = snapshots.flatMap((snapshot) => Object.keys(snapshot));
  return [...new Set(paths)].filter((path) => path === name || path.startsWith(`${name}/`)).sort();
}

/** The kernel updates access times of lower symbolic links and directories that are read; Sluice does not. */
function lasting(line: string | undefined, byKernel: boolean): string | undefined {
  return byKernel ? line?.replace(/ atime=\S+/, "") : line;
}

export function compareRound(setting: Setting, sequences: readonly NamedSequence[], result: RoundResult): RoundOutcome {
  const outcome: RoundOutcome = { failures: [], intended: new Map(intendedDifferences.map(({ name }) => [name, 0])) };
  for (const sequence of sequences) {
    const failure = new Comparison(setting, outcome).compare(sequence, result.steps.get(sequence.name) ?? [], result.trees);
    if (failure !== undefined) outcome.failures.push(failure);
  }
  if (result.trouble !== undefined) {
    const name = result.trouble.split(":")[0];
    const sequence = sequences.find((one) => one.name === name) ?? sequences[0];
    if (sequence !== undefined) outcome.failures.unshift({ sequence, where: "the whole run", kernel: "ends", sluice: result.trouble });
  }
  return outcome;
}

export function describeFailure({ where, kernel, sluice, sequence }: Failure): string {
  return `${sequence.name}: ${where}\n    kernel: ${JSON.stringify(kernel)}\n    sluice: ${JSON.stringify(sluice)}`;
}
