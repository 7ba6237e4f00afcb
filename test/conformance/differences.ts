/**
 * Where Sluice means to differ from kernel overlayfs, each with its reason. Only here: a case itself never makes an
 * exception. An entry that no longer differs fails the suite.
 */
import type { Engine } from "./run/run-engine.js";

export interface Difference {
  case: string;
  /** The step as recorded ("3 stat f"), or the path of a snapshot's line. */
  at: { step: string } | { aspect: "merged" | "upper" | "remounted"; path: string };
  kernel: unknown;
  sluice: unknown;
  /** With one engine alone; both unless given. */
  only?: Exclude<Engine, "kernel">;
  reason: string;
}

export const differences: readonly Difference[] = [];
