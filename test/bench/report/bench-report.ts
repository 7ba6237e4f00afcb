/** The shape of results.json: the run, its machine, and the results. */
import type { CostPoint } from "../costs/cost-point.js";
import type { Machine } from "../machine/describe-machine.js";
import type { StorageKind } from "../machine/storage.js";
import type { PhaseResult } from "../run/measurements.js";
import type { ScalePoint } from "../scale/scale-point.js";

/** All rounds with the layers on one file system. */
export interface StorageReport {
  layersOn: StorageKind;
  /** Other programs worked on each processor but the first. */
  busy?: boolean | undefined;
  /** That counted. */
  rounds: number;
  results: readonly PhaseResult[];
  /** Of each daemon and its children, before the first round and after the last. */
  memory: Record<string, { idleBytes: number; afterBytes: number }>;
}

/** For a title, after "layers on". */
export function conditionsOf({ layersOn, busy }: StorageReport): string {
  return busy === true ? `${layersOn}, other processors busy` : layersOn;
}

/** The name of a plot, without its suffix. */
export function plotName(group: string, { layersOn, busy }: StorageReport): string {
  return `${group}-${layersOn}${busy === true ? "-busy" : ""}`;
}

export interface BenchReport {
  takenAt: string;
  machine: Machine;
  /** Of the last minute of the run. Above the number of processors, others were at work beside it. */
  loadAtEnd: number;
  minutes: number;
  profile: string;
  base: string;
  subjects: readonly { name: string; about: string; kind: string }[];
  skipped: readonly { name: string; why: string }[];
  storages: readonly StorageReport[];
  scale: readonly ScalePoint[];
  costs: readonly CostPoint[];
}
