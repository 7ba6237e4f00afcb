/** Runs sequences on the kernel's overlayfs and on Sluice, over equal layers, and collects all results. */
import { cleanedUp } from "@sluice/testkit";
import { lookHere } from "../../conformance/tree/look-here.js";
import type { Snapshot } from "../../conformance/tree/snapshot-tree.js";
import { type Control, isControl, type Operation } from "../script/operation.js";
import type { Sequence, Setting } from "../script/script.js";
import { type Layers, plantLayers } from "./layers.js";
import { type Implementation, type Mounted, type MountOptions, mountSide } from "./mount-side.js";
import { runSide, type SideResult } from "./run-side.js";
import type { Outcome } from "./side-process.js";

export interface NamedSequence extends Sequence {
  name: string;
}

/** One call, with its results on both sides. */
export interface Step {
  operation: Operation;
  kernel: Outcome;
  sluice: Outcome;
}

/** The trees of one half of the run: "a" begins on the kernel, "b" on Sluice. */
interface Trees {
  merged: Snapshot;
  upper: Snapshot;
  /** The trees as the other implementation shows them afterwards. */
  remounted: Snapshot;
  lowersBefore: readonly Snapshot[];
  lowersAfter: readonly Snapshot[];
}

export interface RoundResult {
  /** By the sequence's name. */
  steps: ReadonlyMap<string, readonly Step[]>;
  /** By the last implementation. */
  trees: Readonly<Record<Implementation, Trees>>;
  /** The reason if a sequence did not end. */
  trouble: string | undefined;
}

interface Phase {
  swapped: boolean;
  /** By the sequence's name. */
  operations: Map<string, Operation[]>;
}

/** A sequence with fewer remounts than another one does nothing in the phases that it lacks. */
function phasesOf(sequences: readonly NamedSequence[]): Phase[] {
  const controls: Control[] = [];
  const split = sequences.map(({ name, operations }) => {
    const parts: Operation[][] = [[]];
    for (const operation of operations) {
      if (!isControl(operation.call)) {
        parts.at(-1)?.push(operation);
        continue;
      }
      controls[parts.length - 1] ??= operation.call;
      parts.push([]);
    }
    return { name, parts };
  });
  let swapped = false;
  return Array.from({ length: controls.length + 1 }, (_, index) => {
    if (controls[index - 1] === "swap") swapped = !swapped;
    return { swapped, operations: new Map(split.map(({ name, parts }) => [name, parts[index] ?? []])) };
  });
}

const lowerTrees = ({ lowers }: Layers): Snapshot[] => lowers.map((path) => lookHere({ kind: "lower", path }));

interface Half {
  layers: Layers;
  lowersBefore: readonly Snapshot[];
}

function prepare(setting: Setting, sequences: readonly NamedSequence[]): readonly [Half, Half] {
  const [a, b] = [plantLayers(setting, sequences), plantLayers(setting, sequences)];
  return [
    { layers: a, lowersBefore: lowerTrees(a) },
    { layers: b, lowersBefore: lowerTrees(b) },
  ];
}

/** The kernel's mounts and layers always answer. */
const lookAtKernel = ({ mountpoint }: Mounted): Snapshot => lookHere({ kind: "merged", path: mountpoint });

interface Look {
  mounted: Mounted;
  merged: Snapshot;
  /** A mount of Sluice's layers by the kernel. */
  again: (() => Promise<Mounted>) | undefined;
}

async function lookAround(half: Half, setting: Setting, { mounted, merged, again }: Look): Promise<Trees> {
  await mounted.stop();
  const upper = setting.readOnly ? {} : lookHere({ kind: "upper", path: half.layers.upper });
  const lowersAfter = lowerTrees(half.layers);
  let remounted = merged;
  if (again !== undefined) {
    const other = await again();
    remounted = lookAtKernel(other);
    await other.stop();
  }
  return { merged, upper, remounted, lowersBefore: half.lowersBefore, lowersAfter };
}

/** Runs both halves through one phase; after the last one, returns the resulting trees. */
class PhaseRun {
  readonly #setting: Setting;
  readonly #halves: Readonly<Record<Implementation, Half>>;
  readonly #options: MountOptions;

  constructor(setting: Setting, halves: readonly [a: Half, b: Half], { swapped, options }: { swapped: boolean; options: MountOptions }) {
    this.#setting = setting;
    this.#halves = swapped ? { kernel: halves[1], sluice: halves[0] } : { kernel: halves[0], sluice: halves[1] };
    this.#options = options;
  }

  async mount(side: Implementation): Promise<Mounted> {
    return mountSide(side, this.#halves[side].layers, this.#setting, this.#options);
  }

  async run(
    side: Implementation,
    mounted: Mounted,
    { operations, last }: { operations: Phase["operations"]; last: boolean },
  ): Promise<SideResult> {
    const { upper, lowers } = this.#halves[side].layers;
    const work = {
      mountpoint: mounted.mountpoint,
      // Only if the kernel made the layers: then no bug of Sluice can show an impossible state.
      layers: side === "kernel" ? { upper: this.#setting.readOnly ? undefined : upper, lowers } : undefined,
      forgetful: this.#setting.forgetful,
      sequences: [...operations].map(([name, own]) => ({ name, operations: own })),
    };
    return runSide(work, { looks: last });
  }

  async look(side: Implementation, mounted: Mounted, merged: Snapshot): Promise<Trees> {
    const half = this.#halves[side];
    // Runs that swap have Sluice serve the kernel's layers; another mount of them here would take as long as the run.
    const again = side === "sluice" ? () => mountSide("kernel", half.layers, this.#setting, this.#options) : undefined;
    return lookAround(half, this.#setting, { mounted, merged, again });
  }
}

type Sides = Record<Implementation, SideResult>;

function collect(steps: Map<string, Step[]>, { kernel, sluice }: Sides, operations: ReadonlyMap<string, Operation[]>): void {
  for (const [name, own] of operations) {
    const [one, other] = [kernel.outcomes.get(name) ?? [], sluice.outcomes.get(name) ?? []];
    const pairs = own.flatMap((operation, index) => {
      const [a, b] = [one[index], other[index]];
      return a === undefined || b === undefined ? [] : [{ operation, kernel: a, sluice: b }];
    });
    steps.set(name, [...(steps.get(name) ?? []), ...pairs]);
  }
}

/** Nothing of a round remains: a long run has hundreds of them, with mounts and images of their own. */
export function runRound(setting: Setting, sequences: readonly NamedSequence[], options: MountOptions = {}): Promise<RoundResult> {
  return cleanedUp(() => runPhases(setting, sequences, options));
}

async function runPhases(setting: Setting, sequences: readonly NamedSequence[], options: MountOptions): Promise<RoundResult> {
  const halves = prepare(setting, sequences);
  const steps = new Map<string, Step[]>();
  const phases = phasesOf(sequences);
  for (const [index, { swapped, operations }] of phases.entries()) {
    const run = new PhaseRun(setting, halves, { swapped, options });
    const part = { operations, last: index === phases.length - 1 };
    // Both run at the same time: each waits for its own calls most of the time.
    const [kernel, sluice] = await Promise.all([run.mount("kernel"), run.mount("sluice")]);
    const [onKernel, onSluice] = await Promise.all([run.run("kernel", kernel, part), run.run("sluice", sluice, part)]);
    const sides = { kernel: onKernel, sluice: onSluice };
    collect(steps, sides, operations);
    const trouble = sides.kernel.trouble ?? sides.sluice.trouble;
    if (part.last || trouble !== undefined) {
      const trees =
        trouble === undefined
          ? { kernel: await run.look("kernel", kernel, onKernel.tree), sluice: await run.look("sluice", sluice, onSluice.tree) }
          : NO_TREES;
      return { steps, trees, trouble };
    }
    await kernel.stop();
    await sluice.stop();
  }
  throw new Error("a run has at least one phase");
}

const NOTHING: Trees = { merged: {}, upper: {}, remounted: {}, lowersBefore: [], lowersAfter: [] };
const NO_TREES = { kernel: NOTHING, sluice: NOTHING };
