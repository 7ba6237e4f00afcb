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
import type { Subject } from "./subjects/subject.js";

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
  startedMs: number;
  cleanUp: CleanUp;
  signal: AbortSignal;
}

interface Found {
  storages: Measured[];
  scale: readonly ScalePoint[];
  costs: CostPoint[];
}

/** Rounds with the layers on one file system. */
interface Part {
  kind: StorageKind;
  /** Beside other programs. */
  busy: boolean;
  phases: readonly Phase[];
  subjects: readonly Subject[];
  /** Curves and costs are measured after it. */
  curves: boolean;
  /** Of the time there is, when it has passed the part begins no further round. */
  untilShare: number;
}

// How far the first part may come, its curves and costs, the middle parts, and the last one.
const [FIRST_SHARE, CURVES_SHARE, MIDDLE_SHARE, ALL] = [0.4, 0.67, 0.92, 1];

/** Overlays that a parallel build may have below it. */
const isComparedBusy = ({ kind, phasesOnly, supervised }: Subject): boolean =>
  kind === "kernel" || kind === "peer" || (kind === "sluice" && phasesOnly !== true && supervised !== true);

function partsOf({ layersOn, busy }: BenchOptions, subjects: readonly Subject[], phases: readonly Phase[]): Part[] {
  const alike = { phases, busy: busy === "all" };
  const parts = layersOn.map((kind, at) => ({
    ...alike,
    kind,
    curves: at === 0,
    subjects: subjects.filter(({ slow }) => at === 0 || !slow),
  }));
  const names = busy === "besides" ? phases.filter(({ group }) => group === "metadata") : [];
  const besides = { busy: true, phases: names, subjects: subjects.filter(isComparedBusy), curves: false };
  if (names.length > 0) parts.push(...layersOn.slice(0, 1).map((kind) => ({ ...besides, kind })));
  return parts.map((part, at) => ({ ...part, untilShare: at === parts.length - 1 ? ALL : at === 0 ? FIRST_SHARE : MIDDLE_SHARE }));
}

async function measurePart({ kind, busy, phases, subjects, curves, untilShare }: Part, parts: RunParts): Promise<Found> {
  const { options, choice, experiments, startedMs, cleanUp, signal } = parts;
  const untilMs = (share: number): number => startedMs + options.minutes * 60_000 * share;
  const storage = await makeStorage(kind, cleanUp);
  const bench: Bench = {
    load: await compileLoad(storage.outside),
    sizes: PROFILES[options.profile],
    storage,
    roundsInAll: options.rounds + options.warmUps,
  };
  const atRest = curves && options.costs;
  const shared = { bench, cleanUp, signal, progress: say };
  const common = { ...shared, subjects, phases, busy, warmUps: options.warmUps, atRest };
  const measured = await measureStorage({ ...common, untilMs: untilMs(untilShare) });
  const inCurves = choice.subjects.filter(({ phasesOnly, namesOnly }) => phasesOnly !== true && namesOnly !== true);
  const whole = { ...shared, subjects: inCurves, untilMs: untilMs(CURVES_SHARE) };
  const costs = atRest ? await measureCosts(whole) : [];
  const scale = curves && options.scale ? await runScale({ ...whole, experiments }) : [];
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
    storages: storages.map(({ layersOn, busy, rounds, results, memory }) => ({ layersOn, busy, rounds, results, memory })),
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
  const parts: RunParts = { options, choice, experiments, startedMs: Date.now(), cleanUp, signal };
  const found: Found = { storages: [], scale: [], costs: [] };
  for (const part of partsOf(options, choice.subjects, phases)) {
    say(`layers on ${part.kind}${part.busy ? ", other processors busy" : ""}`);
    const { storages, scale, costs } = await measurePart(part, parts);
    found.storages.push(...storages);
    found.scale = [...found.scale, ...scale];
    found.costs.push(...costs);
  }
  const report = reportOf(parts, machine, found);
  process.stdout.write(printReport(report, options.figures));
  if (options.out !== undefined) writeResults(options.out, report);
  const broken = found.storages.flatMap((storage) => storage.broken);
  for (const { phase, subject, why } of broken) say(`broken: ${subject} in ${phase}: ${why}`);
  return broken.length > 0 ? 1 : 0;
}
