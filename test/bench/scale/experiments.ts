/** The growth of cost and memory: each experiment has one quantity, its own tree for each amount of it, and a measurement there. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bench } from "../phases/phase.js";
import { type LoadResult, runLoad } from "../phases/load-generator.js";
import type { Sizes } from "../phases/sizes.js";
import type { Session, Tree } from "../subjects/session.js";
import type { Subject } from "../subjects/subject.js";
import { besideLongWork } from "./beside-long-work.js";
import { whilePhase } from "./while-phase.js";
import { takeOvers } from "./take-overs.js";

export interface Reading {
  name: string;
  unit: string;
  value: number;
}

export interface Experiment {
  quantity: string;
  /** For subjects that stack layers alone. */
  stacks?: boolean;
  /** Default: everybody without a keeper. */
  concerns?(subject: Subject): boolean;
  points(sizes: Sizes): readonly number[];
  /** Plants below `folder`, which is new and removed afterwards. */
  plant(folder: string, at: number, bench: Bench): Promise<Tree>;
  measure(session: Session, at: number, bench: Bench): Promise<readonly Reading[]>;
}

const upTo = (most: number, points: readonly number[]): number[] => points.filter((point) => point <= most);

export async function plantFiles(bench: Bench, folder: string, files: number, filesADirectory = 100): Promise<Tree> {
  const directory = join(folder, "base", "tree");
  mkdirSync(directory, { recursive: true });
  mkdirSync(join(folder, "base", "scratch"));
  await runLoad(bench.load, "plant", { directory, files, filesADirectory, sizeBytes: 16 });
  return { lowers: [join(folder, "base")], notForMirrors: [] };
}

const LAYERED_FILES = 500;

const layers: Experiment = {
  quantity: "layers",
  stacks: true,
  points: ({ mostLayers }) => upTo(mostLayers, [1, 3, 8, 32, 128]),
  async plant(folder, at, bench) {
    const tree = await plantFiles(bench, folder, LAYERED_FILES);
    const above = Array.from({ length: at - 1 }, (_, index) => join(folder, `${index}`));
    for (const [index, layer] of above.entries()) {
      mkdirSync(join(layer, "tree", "d000"), { recursive: true });
      writeFileSync(join(layer, "tree", "d000", `own${index}`), "x");
    }
    return { ...tree, lowers: [...above, ...tree.lowers] };
  },
  async measure({ root }, _at, bench) {
    const options = { directory: join(root, "tree"), files: LAYERED_FILES };
    const cold = await runLoad(bench.load, "stat", { ...options, forget: root });
    const warm = await runLoad(bench.load, "stat", { ...options, loops: 20 });
    const missing = await runLoad(bench.load, "missing", { ...options, tag: "new" });
    return [
      { name: "stat, not cached", unit: "ns/op", value: cold.elapsedNs / cold.operations },
      { name: "stat, cached", unit: "ns/op", value: warm.elapsedNs / warm.operations },
      { name: "missing name", unit: "ns/op", value: missing.elapsedNs / missing.operations },
    ];
  },
};

const names: Experiment = {
  quantity: "names in a directory",
  points: ({ mostNames }) => upTo(mostNames, [10, 100, 10_000, 1_000_000]),
  plant: (folder, at, bench) => plantFiles(bench, folder, at, at),
  async measure({ root }, at, bench) {
    const options = { directory: join(root, "tree"), files: at, filesADirectory: at, forget: root };
    const read = await runLoad(bench.load, "readdir", { ...options, loops: Math.max(1, Math.floor(10_000 / at)) });
    return [{ name: "readdir, a name", unit: "ns/op", value: read.elapsedNs / read.operations }];
  },
};

/** Before the pass that counts, as the rounds of the phases have a warm-up: a server that has just started has not compiled its code. */
const WARM_UP_PASSES = 3;

/** The rate of the pass that counts, and that of the first one. */
async function ratesOf(name: string, pass: () => Promise<LoadResult>): Promise<Reading[]> {
  const reading = async (of: string): Promise<Reading> => {
    const { operations, elapsedNs } = await pass();
    return { name: of, unit: "operations/s", value: (operations / elapsedNs) * 1e9 };
  };
  const first = await reading(`${name}, first pass`);
  for (let passes = 1; passes < WARM_UP_PASSES; passes++) await pass();
  return [await reading(name), first];
}

const clients: Experiment = {
  quantity: "client processes",
  points: ({ mostClients }) => upTo(mostClients, [1, 2, 4, 16, 64]),
  plant: (folder, _at, bench) => plantFiles(bench, folder, bench.sizes.clientFiles),
  async measure({ root }, at, bench) {
    const options = { directory: join(root, "tree"), files: bench.sizes.clientFiles, processes: at, sizeBytes: 16 };
    return [
      ...(await ratesOf("stat, not cached", () => runLoad(bench.load, "stat", { ...options, forget: root }))),
      ...(await ratesOf("open, read, close", () => runLoad(bench.load, "read", options))),
    ];
  },
};

const openFiles: Experiment = {
  quantity: "open files",
  points: (sizes) => [sizes.openFiles],
  plant: (folder, at, bench) => plantFiles(bench, folder, at),
  async measure(session, at, bench) {
    const options = { directory: join(session.root, "tree"), files: at };
    await runLoad(bench.load, "stat", options);
    const before = session.residentBytes();
    const { looked } = await whilePhase({ program: bench.load, name: "hold-open", ...options }, () => session.residentBytes());
    return [{ name: "memory an open file", unit: "bytes", value: (looked - before) / at }];
  },
};

const files: Experiment = {
  quantity: "files in the tree",
  points: ({ mostNames }) => upTo(mostNames, [100, 10_000, 1_000_000]),
  plant: (folder, at, bench) => plantFiles(bench, folder, at),
  async measure(session, at, bench) {
    const before = session.residentBytes();
    const walk = await runLoad(bench.load, "walk", { directory: join(session.root, "tree"), files: at });
    const after = session.residentBytes();
    return [
      { name: "walk, a name", unit: "ns/op", value: walk.elapsedNs / walk.operations },
      { name: "memory a file", unit: "bytes", value: (after - before) / at },
      { name: "memory in all", unit: "bytes", value: after },
    ];
  },
};

const knownFiles: Experiment = {
  quantity: "known files",
  concerns: ({ name, supervised }) => name === "sluice" || supervised === true,
  points: ({ mostKnown }) => upTo(mostKnown, [100, 10_000, 100_000, 1_000_000]),
  plant: (folder, at, bench) => plantFiles(bench, folder, at),
  async measure(session, at, bench) {
    const { supervised } = session.subject;
    // The same for a mount with a keeper and for one without: the difference is what writing it down costs.
    const lookups = await runLoad(bench.load, "stat", { directory: join(session.root, "tree"), files: at });
    const lookup = { name: "lookup of a file that was not known", unit: "ns/op", value: lookups.elapsedNs / lookups.operations };
    return supervised === true ? [lookup, ...(await takeOvers(session.root))] : [lookup];
  },
};

export const experiments: readonly Experiment[] = [files, clients, layers, names, openFiles, knownFiles, besideLongWork];
