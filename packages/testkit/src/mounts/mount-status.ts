/** The answers of `sluice status` and `sluice grants`, typed as far as tests look at them. */
import type { SluiceMount } from "./mount-sluice.js";

export interface Status {
  name: string;
  pid: number;
  state: string;
  engine: { inFlight: number; passthrough: boolean; maxStackDepth: number };
  overlay: {
    layers: { name: string; path: string; flags: string[]; stackDepth?: number; passthrough: { eligible: boolean; reason?: string } }[];
    copyUps: number;
    nodes: number;
    openFiles: number;
    staleReopens: number;
  };
  decider: { target: string; state: string; cache: { misses: number } | null };
  policy: { revision: { digest: string }; governs: string[]; refusedEdit: string | null; summary: string | null } | null;
  decisions: Record<string, number>;
  fallbacks: Record<string, number>;
  openFilesByMode: Record<string, number>;
  mediatedBytes: Record<string, number>;
  grants: number;
  asks: { waiting: number; most: number; crowdedOut: number };
  revocation: { passing: number; refused: number };
  anomalies: number;
}

export interface Grant {
  change: string;
  path: string;
  layer: string;
  mode: string;
  write: boolean;
  fallback: string | null;
  pid: number;
  uid: number;
  decision: string | null;
  revision: string | null;
  rule: string | null;
}

export async function statusOf(mount: SluiceMount): Promise<Status> {
  return (await mount.status()) as Status;
}

/** The opens in force, without mappings that outlived their open. */
export async function grantsOf(mount: SluiceMount): Promise<Grant[]> {
  return ((await mount.grants()) as Grant[]).filter(({ change }) => change !== "mapped");
}

/** The number of decisions so far, of every kind. */
export async function decisionsOf(mount: SluiceMount): Promise<number> {
  return Object.values((await statusOf(mount)).decisions).reduce((sum, count) => sum + count, 0);
}
