/** One run from start to end: storage, layers, subjects, rounds, curves and costs, report. */
import { loadavg } from "node:os";
import { BenchError } from "./bench-error.js";
import type { CleanUp } from "./clean-up.js";
import type { CostPoint } from "./costs/cost-point.js";
import { measureCosts } from "./costs/measure-costs.js";
import { describeMachine, type Machine } from "./machine/describe-machine.js";
import { neverHalt } from "./machine/idle-processors.js";
import { makeStorage, type StorageKind } from "./machine/storage.js";
import { measureStorage, type Measured } from "./measure-storage.js";
import type { BenchOptions } from "./options.js";
import { choosePhases } from "./phases/choose-phases.js";
import { compileLoad } from "./phases/load-generator.js";
import type { Bench, Phase } from "./phases/phase.js";
import { PROFILES } from "./phases/sizes.js";
import type { BenchReport } from "./report/bench-report.js";
import { printReport } from "./report/print-report.js";
import { writeResults } from "./report/write-results.js";
import type { Experiment } from "./scale/experiments.js";
import { chooseExperiments, runScale } from "./scale/run-scale.js";
import type { ScalePoint } from "./scale/scale-point.js";
import { type Choice, chooseSubjects } from "./subjects/choose-subjects.js";

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Of the machine, before anything is made. @throws BenchError 3 */
function requireRoot(): void {
  if (process.getuid?.() !== 0) throw new BenchError(3, "mounting layers: needs root: run it with sudo");
}

interface RunParts {
  options: BenchOptions;
  choice: Choice;
  experiments: readonly Experiment[];
  phases: readonly Phase[];
  startedMs: number;
  cleanUp: CleanUp;
  signal: AbortSignal;
}

interface Found {
  storages: Measured[];
  scale: readonly ScalePoint[];
  costs: CostPoint[];
}

// Of the time there is: how far the rounds on the first file system may come, the curves and costs, the rounds on the second.
const [FIRST_SHARE, CURVES_SHARE, ALL] = [0.42, 0.72, 1];

async function measureOn(kind: StorageKind, isFirst: boolean, parts: RunParts): Promise<Found> {
  const { options, choice, experiments, phases, startedMs, cleanUp, signal } = parts;
  const untilMs = (share: number): number => startedMs + options.minutes * 60_000 * share;
  const storage = await makeStorage(kind, cleanUp);
  const bench: Bench = {
    load: await compileLoad(storage.outside),
    sizes: PROFILES[options.profile],
    storage,
    roundsInAll: options.rounds + options.warmUps,
  };
  const atRest = isFirst && options.costs;
  const shared = { bench, cleanUp, signal, progress: say };
  const subjects = choice.subjects.filter(({ slow }) => isFirst || slow !== true);
  const common = { ...shared, subjects, phases, warmUps: options.warmUps, atRest };
  const measured = await measureStorage({ ...common, untilMs: untilMs(isFirst && options.layersOn.length > 1 ? FIRST_SHARE : ALL) });
  const whole = { ...shared, subjects: choice.subjects.filter(({ phasesOnly }) => phasesOnly !== true), untilMs: untilMs(CURVES_SHARE) };
  const costs = atRest ? await measureCosts(whole) : [];
  const scale = isFirst && options.scale ? await runScale({ ...whole, experiments }) : [];
  await storage.remove();
  return { storages: [measured], scale, costs: [...measured.costs, ...costs] };
}

function reportOf({ options, choice, startedMs }: RunParts, machine: Machine, { storages, scale, costs }: Found): BenchReport {
  const names = choice.subjects.map(({ name }) => name);
  return {
    takenAt: new Date(startedMs).toISOString(),
    machine,
    loadAtEnd: loadavg()[0] ?? 0,
    minutes: Math.round((Date.now() - startedMs) / 60_000),
    profile: options.profile,
    base: names.includes(options.base) ? options.base : (names[0] ?? options.base),
    subjects: choice.subjects.map(({ name, about, kind }) => ({ name, about, kind })),
    skipped: choice.skipped,
    storages: storages.map(({ layersOn, rounds, results, memory }) => ({ layersOn, rounds, results, memory })),
    scale,
    costs,
  };
}

/** The exit code. @throws BenchError; the caller runs `cleanUp` whatever happens */
export async function runBench(options: BenchOptions, cleanUp: CleanUp, signal: AbortSignal): Promise<number> {
  requireRoot();
  const choice = chooseSubjects(options);
  const experiments = chooseExperiments(options.scaleOnly);
  const phases = options.scaleOnly.length > 0 ? [] : choosePhases(options.phases);
  for (const { name, why } of choice.skipped) say(`skipped ${name}: ${why}`);
  if (options.neverHalt) cleanUp.add(neverHalt());
  const machine = describeMachine();
  const parts: RunParts = { options, choice, experiments, phases, startedMs: Date.now(), cleanUp, signal };
  const found: Found = { storages: [], scale: [], costs: [] };
  for (const [at, kind] of options.layersOn.entries()) {
    say(`layers on ${kind}`);
    const part = await measureOn(kind, at === 0, parts);
    found.storages.push(...part.storages);
    found.scale = [...found.scale, ...part.scale];
    found.costs.push(...part.costs);
  }
  const report = reportOf(parts, machine, found);
  process.stdout.write(printReport(report, options.figures));
  if (options.out !== undefined) writeResults(options.out, report);
  const broken = found.storages.flatMap((storage) => storage.broken);
  for (const { phase, subject, why } of broken) say(`broken: ${subject} in ${phase}: ${why}`);
  return broken.length > 0 ? 1 : 0;
}
