/**
 * The rounds: in each, every phase on every subject, one after the other. The subjects' order moves on by one a round, so
 * that none always follows the same neighbour. Warm-ups run the same way and are forgotten.
 */
import { messageOf } from "../bench-error.js";
import { findProgram } from "../machine/find-program.js";
import { processorNsBetween } from "../machine/processes.js";
import type { Bench, Phase } from "../phases/phase.js";
import type { Session } from "../subjects/session.js";
import { emptyResult, type PhaseResult } from "./measurements.js";

export interface RoundsPlan {
  phases: readonly Phase[];
  sessions: readonly Session[];
  bench: Bench;
  warmUps: number;
  /** No round but the first that counts is begun that would end after it, by the longest so far; as Date.now(). */
  untilMs: number;
  signal: AbortSignal;
  progress(line: string): void;
}

export interface Broken {
  phase: string;
  subject: string;
  why: string;
}

export interface RoundsOutcome {
  /** That counted. */
  rounds: number;
  results: readonly PhaseResult[];
  broken: readonly Broken[];
}

/** Why the phase is not for this subject, or undefined. */
function unfit(phase: Phase, { subject }: Session): string | undefined {
  if (phase.program !== undefined && !findProgram(phase.program)) return `skipped: ${phase.program} is not installed`;
  // A floor like passthrough_hp has a descriptor open of each file that the kernel knows.
  if (phase.many && (subject.slow || subject.kind === "floor")) return "skipped: too many files for it";
  if (subject.namesOnly && phase.group !== "metadata") return "skipped: measured on names and attributes alone";
  return phase.copyUp && subject.mirrors ? "skipped: it does no copy-up" : undefined;
}

/** Whether the phase is for this round; below 0 are warm-ups. */
function isTurnOf(phase: Phase, { subject }: Session, counted: number): boolean {
  const most = Math.min(phase.mostRounds ?? Number.POSITIVE_INFINITY, subject.mostRounds ?? Number.POSITIVE_INFINITY);
  return most === Number.POSITIVE_INFINITY || (counted >= 0 && counted < most);
}

class Run {
  readonly #results: Map<string, PhaseResult>;

  constructor(readonly plan: RoundsPlan) {
    this.#results = new Map(plan.phases.map((phase) => [phase.name, emptyResult(phase)]));
  }

  result(phase: Phase): PhaseResult {
    const found = this.#results.get(phase.name);
    if (!found) throw new Error(`${phase.name}: no result was made for it`);
    return found;
  }

  /** A subject that fails a phase once is not asked again: its later results would be no measurement. */
  async attempt(phase: Phase, session: Session, work: () => Promise<void>): Promise<void> {
    this.plan.signal.throwIfAborted();
    const { notes } = this.result(phase);
    if (notes[session.subject.name] !== undefined) return;
    try {
      await work();
    } catch (error) {
      this.plan.signal.throwIfAborted();
      notes[session.subject.name] = messageOf(error);
      this.plan.progress(`${phase.name}: ${session.subject.name} broke: ${messageOf(error)}`);
    }
  }

  async prepare(): Promise<void> {
    for (const phase of this.plan.phases) {
      for (const session of this.plan.sessions) {
        const why = unfit(phase, session);
        if (why !== undefined) this.result(phase).notes[session.subject.name] = why;
        await this.attempt(phase, session, async () => phase.prepare?.(session, this.plan.bench));
      }
    }
  }

  async round(round: number): Promise<void> {
    const { phases, sessions, bench, warmUps } = this.plan;
    const turn = round % sessions.length;
    const order = [...sessions.slice(turn), ...sessions.slice(0, turn)];
    for (const phase of phases) {
      for (const session of order) {
        const counted = round - warmUps;
        if (!isTurnOf(phase, session, counted)) continue;
        await this.attempt(phase, session, async () => {
          const before = session.processorTime();
          const value = await phase.measure(session, bench, round);
          const cpuMs = processorNsBetween(before, session.processorTime()) / 1e6;
          if (counted >= 0) this.#take(phase, session, { round: counted, value, cpuMs });
        });
      }
    }
  }

  #take(phase: Phase, { subject }: Session, { round, value, cpuMs }: { round: number; value: number; cpuMs: number }): void {
    const { samples, daemonCpuMs } = this.result(phase);
    (samples[subject.name] ??= [])[round] = value;
    (daemonCpuMs[subject.name] ??= []).push(cpuMs);
  }

  outcome(rounds: number): RoundsOutcome {
    const results = [...this.#results.values()];
    const broken = results.flatMap((result) => this.#brokenIn(result));
    return { rounds, results, broken };
  }

  /** A phase that fails for everybody is the machine's lack, not a subject's fault. */
  #brokenIn(result: PhaseResult): Broken[] {
    const failed = Object.entries(result.notes).filter(([, why]) => !why.startsWith("skipped: "));
    const measured = Object.values(result.samples).some((samples) => samples.length > 0);
    if (!measured) return [];
    return failed.map(([subject, why]) => ({ phase: result.name, subject, why }));
  }
}

/** @throws what `signal` was aborted with */
export async function runRounds(plan: RoundsPlan): Promise<RoundsOutcome> {
  const run = new Run(plan);
  await run.prepare();
  const { roundsInAll } = plan.bench;
  let [done, longestMs] = [0, 0];
  while (done < roundsInAll && (done <= plan.warmUps || Date.now() + longestMs < plan.untilMs)) {
    const beganMs = Date.now();
    await run.round(done);
    longestMs = Math.max(longestMs, Date.now() - beganMs);
    const name = done < plan.warmUps ? "warm-up" : `round ${done - plan.warmUps + 1}`;
    plan.progress(`${name} of ${roundsInAll - plan.warmUps}: ${((Date.now() - beganMs) / 1000).toFixed(0)} s`);
    done++;
  }
  return run.outcome(done - plan.warmUps);
}
