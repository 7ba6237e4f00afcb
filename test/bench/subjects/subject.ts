/** A measured subject, and the directories it stands on. Each subject has its own start; all share one way to stop. */

export interface SubjectDirectories {
  /** Topmost first, absolute. */
  lowers: readonly string[];
  upper: string;
  work: string;
  mountpoint: string;
  /** A copy of the merged tree, for subjects that do not overlay. */
  source: string;
  /** The directory of the layers; paths may be given relative to it. */
  layersRoot: string;
  /** The file of the subject's own output. */
  log: string;
  /** For its daemon. */
  environment?: Readonly<Record<string, string>>;
}

export interface Subject {
  name: string;
  /** A "floor" is no peer: it does less than an overlay, and shows what the way through FUSE costs by itself. */
  kind: "native" | "kernel" | "peer" | "floor" | "sluice";
  /** The program and its version, for the record. */
  about: string;
  /** It shows `directories.source` and does no copy-up: phases that need one pass it over. */
  mirrors: boolean;
  /** It is slow, and measured to be named: no more rounds than these count, and there is no warm-up. */
  mostRounds?: number;
  /** Passed over where files are very many, and on all file systems but the first. */
  slow?: boolean;
  /** Left out of curves and costs: they would tell nothing that another subject does not. */
  phasesOnly?: boolean;
  /** Measured on names and attributes alone, and in no curves and costs: the rest does not depend on its difference. */
  namesOnly?: boolean;
  /** Measured only if it is asked for by name. */
  onlyNamed?: boolean;
  /** Another server goes on when its server is killed. */
  supervised?: boolean;
  /** The lack of the machine that prevents it, or undefined. */
  missing(): string | undefined;
  /** Resolves when it serves at `directories.mountpoint`. @throws BenchError */
  start(directories: SubjectDirectories): Promise<void>;
}

/** As in overlayfs: escapes the characters that the option string itself uses. */
export function escapeLayer(path: string): string {
  return path.replace(/[\\:,]/g, "\\$&");
}
