/** Runs the scaling experiments: at each point every subject is mounted again, repetition by repetition. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { BenchError, messageOf } from "../bench-error.js";
import type { CleanUp } from "../clean-up.js";
import { runCommand } from "../machine/run-command.js";
import type { Bench } from "../phases/phase.js";
import type { Subject } from "../subjects/subject.js";
import { openSession, type Tree } from "../subjects/session.js";
import { type Experiment, experiments, type Reading } from "./experiments.js";
import type { ScalePoint } from "./scale-point.js";

export interface ScaleRun {
  experiments: readonly Experiment[];
  subjects: readonly Subject[];
  bench: Bench;
  cleanUp: CleanUp;
  signal: AbortSignal;
  /** No point is begun after it; as Date.now(). */
  untilMs: number;
  progress(line: string): void;
}

// Above this a point takes minutes a subject and its spread is small; a copy for each mirror would take as long again.
const ONCE_FROM = 500_000;

/** Those of the quantities; none: all. @throws BenchError 2 for a quantity that nothing grows with */
export function chooseExperiments(quantities: readonly string[]): readonly Experiment[] {
  const known = experiments.map(({ quantity }) => quantity);
  const unknown = quantities.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new BenchError(2, `--scale-only: ${unknown}: no such quantity: choose from ${known.join(", ")}`);
  return quantities.length === 0 ? experiments : experiments.filter(({ quantity }) => quantities.includes(quantity));
}

interface MeasuringPoint {
  experiment: Experiment;
  at: number;
  tree: Tree;
}

/** Empty where the subject breaks. */
async function readOnce(run: ScaleRun, subject: Subject, { experiment, at, tree }: MeasuringPoint): Promise<readonly Reading[]> {
  run.signal.throwIfAborted();
  try {
    const session = await openSession(subject, tree, { storage: run.bench.storage, cleanUp: run.cleanUp });
    const readings = await experiment.measure(session, at, run.bench).catch((error: unknown) => messageOf(error));
    await session.stop();
    if (typeof readings !== "string") return readings;
    run.progress(`scaling: ${subject.name} with ${at} ${experiment.quantity}: ${readings}`);
  } catch (error) {
    run.progress(`scaling: ${subject.name} with ${at} ${experiment.quantity}: ${messageOf(error)}`);
  }
  run.signal.throwIfAborted();
  return [];
}

async function runPoint(run: ScaleRun, experiment: Experiment, at: number): Promise<ScalePoint[]> {
  const folder = join(run.bench.storage.layers, "scale");
  mkdirSync(folder);
  const tree = await experiment.plant(folder, at, run.bench);
  const points = new Map<string, ScalePoint & { values: number[] }>();
  const passedOver = experiment.stacks === true || at >= ONCE_FROM;
  const subjects = run.subjects.filter(
    (subject) => !(passedOver && subject.mirrors) && (experiment.concerns?.(subject) ?? subject.supervised !== true),
  );
  const take = (subject: string, { name, unit, value }: Reading): void => {
    const point = points.get(`${name} ${subject}`) ?? { experiment: name, subject, quantity: experiment.quantity, at, unit, values: [] };
    point.values.push(value);
    points.set(`${name} ${subject}`, point);
  };
  for (let repetition = 0; repetition < (at >= ONCE_FROM ? 1 : run.bench.sizes.repetitions); repetition++) {
    for (const subject of subjects)
      for (const reading of await readOnce(run, subject, { experiment, at, tree })) take(subject.name, reading);
  }
  await runCommand("rm", ["-rf", "--", folder]);
  return [...points.values()];
}

/** @throws what `signal` was aborted with. A subject that breaks at a point is named and missing there. */
export async function runScale(run: ScaleRun): Promise<ScalePoint[]> {
  const points: ScalePoint[] = [];
  for (const experiment of run.experiments) {
    for (const at of experiment.points(run.bench.sizes)) {
      if (Date.now() > run.untilMs) {
        run.progress(`scaling: ${at} ${experiment.quantity}: not measured: no time left`);
        continue;
      }
      points.push(...(await runPoint(run, experiment, at)));
      run.progress(`scaling: ${at} ${experiment.quantity}`);
    }
  }
  return points;
}
