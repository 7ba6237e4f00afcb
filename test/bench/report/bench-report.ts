/** The shape of results.json: what was run, on what, and what came out. */
import type { Machine } from "../machine/describe-machine.js";
import type { PhaseResult } from "../run/measurements.js";
import type { ScalePoint } from "../scale/scale-point.js";

export interface BenchReport {
  takenAt: string;
  machine: Machine;
  /** Of the last minute of the run. Above the number of processors, others were at work beside it. */
  loadAtEnd: number;
  /** "tmpfs" or "ext4". */
  layersOn: string;
  profile: string;
  rounds: number;
  base: string;
  subjects: readonly { name: string; about: string; kind: string }[];
  skipped: readonly { name: string; why: string }[];
  results: readonly PhaseResult[];
  /** Of each daemon and its children, before the first round and after the last. */
  memory: Record<string, { idleBytes: number; afterBytes: number }>;
  scale: readonly ScalePoint[];
}
