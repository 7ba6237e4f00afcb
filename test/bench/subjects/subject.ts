/** What is measured, and the ground it stands on. How one is started is each subject's own; how one is stopped is not. */

export interface Ground {
  /** Topmost first, absolute. */
  lowers: readonly string[];
  upper: string;
  work: string;
  mountpoint: string;
  /** A copy of the merged tree, for subjects that do not overlay. */
  source: string;
  /** Where the layers lie; paths may be given relative to it. */
  layersRoot: string;
  /** Where the subject's own output goes. */
  log: string;
}

export interface Subject {
  name: string;
  kind: "native" | "kernel" | "peer" | "sluice";
  /** What was run, for the record. */
  about: string;
  /** It shows `ground.source` and does no copy-up: phases that need one pass it over. */
  mirrors: boolean;
  /** Another server goes on when its server is killed. */
  kept?: boolean;
  /** What the machine lacks for it, or undefined. */
  missing(): string | undefined;
  /** Resolves when it serves at `ground.mountpoint`. @throws BenchError */
  start(ground: Ground): Promise<void>;
}

/** As in overlayfs: what the option string itself uses is escaped. */
export function escapeLayer(path: string): string {
  return path.replace(/[\\:,]/g, "\\$&");
}
