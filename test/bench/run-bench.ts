/** One run from start to end: storage, layers, subjects, rounds, report. */
import { chmodSync } from "node:fs";
import { loadavg } from "node:os";
import { BenchError, messageOf } from "./bench-error.js";
import type { CleanUp } from "./clean-up.js";
import { describeMachine } from "./machine/describe-machine.js";
import { makeStorage } from "./machine/storage.js";
import type { BenchOptions } from "./options.js";
import { makeAssets } from "./phases/assets.js";
import { choosePhases } from "./phases/choose-phases.js";
import { compileLoad } from "./phases/load-generator.js";
import type { Bench, Phase } from "./phases/phase.js";
import { plantTree } from "./phases/plant-tree.js";
import { PROFILES } from "./phases/sizes.js";
import type { BenchReport } from "./report/bench-report.js";
import { printReport } from "./report/print-report.js";
import { writeResults } from "./report/write-results.js";
import { type Broken, type RoundsOutcome, runRounds } from "./run/run-rounds.js";
import { chooseExperiments, runScale } from "./scale/run-scale.js";
import { type Choice, chooseSubjects } from "./subjects/choose-subjects.js";
import { openSession, type Session } from "./subjects/session.js";
import type { Subject } from "./subjects/subject.js";

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Of the machine, before anything is made. @throws BenchError 3 */
function requireRoot(): void {
  if (process.getuid?.() !== 0) throw new BenchError(3, "mounting layers: needs root: run it with sudo");
}

interface Opened {
  sessions: readonly Session[];
  broken: readonly Broken[];
}

/** A subject that is there and does not mount is broken; the others are measured all the same. */
async function openSessions(subjects: readonly Subject[], bench: Bench, cleanUp: CleanUp): Promise<Opened> {
  const tree = await plantTree(bench);
  const sessions: Session[] = [];
  const broken: Broken[] = [];
  for (const subject of subjects) {
    try {
      sessions.push(await openSession(subject, tree, { storage: bench.storage, cleanUp }));
      say(`mounted ${subject.name}`);
    } catch (error) {
      say(messageOf(error));
      broken.push({ phase: "mount", subject: subject.name, why: messageOf(error) });
    }
  }
  return { sessions, broken };
}

interface Measured extends RoundsOutcome {
  memory: BenchReport["memory"];
}

interface RunParts {
  choice: Choice;
  phases: readonly Phase[];
  cleanUp: CleanUp;
  signal: AbortSignal;
}

async function measure(options: BenchOptions, bench: Bench, { choice, phases, cleanUp, signal }: RunParts): Promise<Measured> {
  if (phases.length === 0) return { results: [], broken: [], memory: {} };
  await makeAssets(bench.storage, bench.sizes);
  const { sessions, broken } = await openSessions(choice.subjects, bench, cleanUp);
  const idle = sessions.map((session) => session.residentBytes());
  const outcome = await runRounds({ phases, sessions, bench, warmUps: options.warmUps, signal, progress: say });
  const memory = sessions.map((session, at) => {
    return [session.subject.name, { idleBytes: idle[at] ?? 0, afterBytes: session.residentBytes() }] as const;
  });
  for (const session of sessions) await session.stop();
  return { results: outcome.results, broken: [...broken, ...outcome.broken], memory: Object.fromEntries(memory) };
}

/** The exit code. @throws BenchError; the caller runs `cleanUp` whatever happens */
export async function runBench(options: BenchOptions, cleanUp: CleanUp, signal: AbortSignal): Promise<number> {
  requireRoot();
  const choice = chooseSubjects(options);
  const quantities = chooseExperiments(options.scaleOnly);
  const phases = options.scaleOnly.length > 0 ? [] : choosePhases(options.phases);
  for (const { name, why } of choice.skipped) say(`skipped ${name}: ${why}`);
  const machine = describeMachine();
  const storage = await makeStorage(options.layersOn, cleanUp);
  // A decision service without privilege reads its policy below it.
  chmodSync(storage.outside, 0o755);
  const sizes = PROFILES[options.profile];
  const bench: Bench = { load: await compileLoad(storage.outside), sizes, storage, roundsInAll: options.rounds + options.warmUps };
  const measured = await measure(options, bench, { choice, phases, cleanUp, signal });
  const scale = options.scale
    ? await runScale({ experiments: quantities, subjects: choice.subjects, bench, cleanUp, signal, progress: say })
    : [];
  const names = choice.subjects.map(({ name }) => name);
  const report: BenchReport = {
    takenAt: new Date().toISOString(),
    machine,
    loadAtEnd: loadavg()[0] ?? 0,
    layersOn: options.layersOn,
    profile: options.profile,
    rounds: options.rounds,
    base: names.includes(options.base) ? options.base : (names[0] ?? options.base),
    subjects: choice.subjects.map(({ name, about, kind }) => ({ name, about, kind })),
    skipped: choice.skipped,
    results: measured.results,
    memory: measured.memory,
    scale,
  };
  process.stdout.write(printReport(report, options.figures));
  if (options.out !== undefined) writeResults(options.out, report);
  for (const { phase, subject, why } of measured.broken) say(`broken: ${subject} in ${phase}: ${why}`);
  return measured.broken.length > 0 ? 1 : 0;
}
