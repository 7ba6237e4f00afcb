/** The measurements of a run, and the one way to make a ratio of them. */
import { type Group, type Phase, speedRatio, type Unit } from "../phases/phase.js";
import { type Spread, spreadOf } from "./statistics.js";

export interface PhaseResult {
  name: string;
  group: Group;
  title: string;
  unit: Unit;
  /** One a round, by subject; a round that broke is missing here and named below. */
  samples: Record<string, (number | null)[]>;
  /** The daemon's processor time for it, in milliseconds a round, including making and removing the files. */
  daemonCpuMs: Record<string, number[]>;
  /** Why a subject was not measured: by design, or because it broke. */
  notes: Record<string, string>;
}

export function emptyResult({ name, group, title, unit }: Phase): PhaseResult {
  return { name, group, title, unit, samples: {}, daemonCpuMs: {}, notes: {} };
}

export function valuesOf(result: PhaseResult, subject: string): number[] {
  return (result.samples[subject] ?? []).filter((value) => value !== null);
}

/**
 * How many times as fast `subject` is as `base`, from the ratio within each round, under the same conditions.
 * Undefined if they have no round in common.
 */
export function ratioOf(result: PhaseResult, subject: string, base: string): Spread | undefined {
  const [ours, theirs] = [result.samples[subject] ?? [], result.samples[base] ?? []];
  const ratios = ours.flatMap((value, round) => {
    const other = theirs[round];
    return value === null || other === null || other === undefined ? [] : [speedRatio(result.unit, value, other)];
  });
  return ratios.length === 0 ? undefined : spreadOf(ratios);
}
