/** The paths of one run. Names only: nothing is made here. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const REPOSITORY = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "");
export const CLI = join(REPOSITORY, "packages/cli/bin/sluice.cjs");

export interface DemoPaths {
  /** Holds all the others but `lowerTree`; removed at the end. */
  scratch: string;
  /** The real tree: this repository's node_modules, used in place. */
  lowerTree: string;
  /** Generated files. */
  lowerData: string;
  upper: string;
  work: string;
  /** Scratch of kernel overlayfs for the check of the upper layer, on the same file system. */
  kernelWork: string;
  kernelMount: string;
  /** Called node_modules, so that module resolution from inside the view finds the packages in its root. */
  mountPoint: string;
  policy: string;
  log: string;
  /** Plain files beside the mount, for comparison. */
  native: string;
  snapshots: string;
}

export function pathsBelow(scratch: string): DemoPaths {
  return {
    scratch,
    lowerTree: join(REPOSITORY, "node_modules"),
    lowerData: join(scratch, "data"),
    upper: join(scratch, "upper"),
    work: join(scratch, "work"),
    kernelWork: join(scratch, "kernel-work"),
    kernelMount: join(scratch, "kernel-overlay"),
    mountPoint: join(scratch, "view", "node_modules"),
    policy: join(scratch, "policy.yaml"),
    log: join(scratch, "sluice.log"),
    native: join(scratch, "native"),
    snapshots: join(scratch, "snapshots"),
  };
}

export const MIB = 1024 * 1024;

/** The generated files, by their path below the mount. */
export const FILES = {
  large: { path: "datasets/large.bin", sizeBytes: 1024 * MIB },
  editable: { path: "datasets/editable.bin", sizeBytes: 256 * MIB },
  metered: { path: "datasets/metered/large.bin", sizeBytes: 256 * MIB },
  /** Never read before the daemon is stopped, so that no cache can answer for it. */
  meteredUnread: { path: "datasets/metered/unread.bin", sizeBytes: 8 * MIB },
} as const;

export const SECRET = "secrets/token";
export const PRIVATE_KEY = "keys/server.pem";

/** The most that a run needs on the scratch file system: the files above, a copy-up, and the writes of the measurement. */
export const NEEDED_BYTES = 4096 * MIB;
