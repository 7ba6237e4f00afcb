/** One thing that is measured, the same way on every subject. */
import type { Sizes } from "./sizes.js";
import type { Storage } from "../machine/storage.js";
import type { Session } from "../subjects/session.js";

export type Group = "metadata" | "data" | "work";

/** "ns/op" and "ms": less is better. "MB/s": more is. */
export type Unit = "ns/op" | "ms" | "MB/s";

export interface Bench {
  /** The compiled load generator. */
  load: string;
  sizes: Sizes;
  storage: Storage;
  /** Rounds in all, warm-ups included: files that a round uses up must last as long. */
  roundsInAll: number;
}

export interface Phase {
  name: string;
  group: Group;
  title: string;
  unit: Unit;
  /** A program it cannot do without. */
  program?: string;
  /** Passed over for subjects that do no copy-up. */
  copyUp?: boolean;
  /** So many files that slow subjects, and those with a descriptor for each, are passed over. */
  many?: boolean;
  /** It takes long and its spread is small: no more rounds than these count, and there is no warm-up. */
  mostRounds?: number;
  /** Once a subject, before the first round. */
  prepare?(session: Session, bench: Bench): Promise<void>;
  /** In `unit`. @throws BenchError */
  measure(session: Session, bench: Bench, round: number): Promise<number>;
}

/** How many times as fast as `base`: above 1 is faster, whatever the unit. */
export function speedRatio(unit: Unit, value: number, base: number): number {
  return unit === "MB/s" ? value / base : base / value;
}
