/** All rounds with the layers on one file system: the tree, the subjects, their costs at rest, the phases. */
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "./bench-error.js";
import type { CleanUp } from "./clean-up.js";
import type { CostPoint } from "./costs/cost-point.js";
import { keepOthersBusy } from "./machine/busy-processors.js";
import { processorNsBetween } from "./machine/processes.js";
import { makeAssets } from "./phases/assets.js";
import type { Bench, Phase } from "./phases/phase.js";
import { plantTree } from "./phases/plant-tree.js";
import type { StorageReport } from "./report/bench-report.js";
import { type Broken, runRounds } from "./run/run-rounds.js";
import { openSession, type Session } from "./subjects/session.js";
import type { Subject } from "./subjects/subject.js";

export interface StorageRun {
  subjects: readonly Subject[];
  phases: readonly Phase[];
  bench: Bench;
  warmUps: number;
  /** As Date.now(): see RoundsPlan. */
  untilMs: number;
  /** Whether what they take at rest is asked for: it is waited for. */
  atRest: boolean;
  /** Other programs work on each processor but the first. */
  busy: boolean;
  cleanUp: CleanUp;
  signal: AbortSignal;
  progress(line: string): void;
}

export interface Measured extends StorageReport {
  broken: readonly Broken[];
  costs: readonly CostPoint[];
}

interface Opened {
  sessions: readonly Session[];
  broken: readonly Broken[];
}

const programsOf = (phases: readonly Phase[]): Set<string> => new Set(phases.flatMap(({ program }) => program ?? []));

/** An installed subject that does not mount is broken; the others are still measured. */
async function openSessions({ subjects, phases, bench, cleanUp, progress }: StorageRun): Promise<Opened> {
  const tree = await plantTree(bench, programsOf(phases));
  const sessions: Session[] = [];
  const broken: Broken[] = [];
  for (const subject of subjects) {
    try {
      sessions.push(await openSession(subject, tree, { storage: bench.storage, cleanUp }));
      progress(`mounted ${subject.name}`);
    } catch (error) {
      progress(messageOf(error));
      broken.push({ phase: "mount", subject: subject.name, why: messageOf(error) });
    }
  }
  return { sessions, broken };
}

/** The processor time of mounts that have worked, while nobody asks anything of them: all at once, as none disturbs the others. */
async function restOf(sessions: readonly Session[], restMs: number): Promise<CostPoint[]> {
  await sleep(restMs); // For work that the last phase left.
  const [startedMs, before] = [performance.now(), sessions.map((session) => session.processorTime())];
  await sleep(restMs);
  const passedNs = (performance.now() - startedMs) * 1e6;
  return sessions.flatMap((session, at) => {
    const from = before[at];
    if (from === undefined || session.residentBytes() === 0) return [];
    const share = (processorNsBetween(from, session.processorTime()) / passedNs) * 100;
    return [{ cost: "processor time at rest", subject: session.subject.name, unit: "%", values: [share] }];
  });
}

export async function measureStorage(run: StorageRun): Promise<Measured> {
  const { phases, bench, warmUps, untilMs, signal, progress, busy } = run;
  const layersOn = bench.storage.kind;
  if (phases.length === 0) return { layersOn, busy, rounds: 0, results: [], memory: {}, broken: [], costs: [] };
  await makeAssets(bench.storage, bench.sizes, programsOf(phases));
  const { sessions, broken } = await openSessions(run);
  const idle = sessions.map((session) => session.residentBytes());
  const leaveAlone = busy ? run.cleanUp.add(keepOthersBusy()) : undefined;
  const outcome = await runRounds({ phases, sessions, bench, warmUps, untilMs, signal, progress });
  await leaveAlone?.();
  const costs = run.atRest ? await restOf(sessions, bench.sizes.restMs) : [];
  const memory = sessions.map((session, at) => {
    return [session.subject.name, { idleBytes: idle[at] ?? 0, afterBytes: session.residentBytes() }] as const;
  });
  for (const session of sessions) await session.stop();
  const { rounds, results } = outcome;
  return { layersOn, busy, rounds, results, memory: Object.fromEntries(memory), broken: [...broken, ...outcome.broken], costs };
}
