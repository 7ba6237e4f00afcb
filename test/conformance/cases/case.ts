/** One rule of the file system, with the layers beforehand and the calls that show it. */
import type { Probe } from "../probe/probe.js";
import type { Tree } from "../tree/tree.js";

export interface Case {
  /** The rule in words; also names the case's directory in each layer. */
  name: string;
  /** The bottom lower layer. Undefined and no `top`: an empty directory. */
  lower?: Tree;
  /** The lower layer above it. */
  top?: Tree;
  /** The upper layer of an earlier mount. */
  upper?: Tree;

  /** Mounts without an upper layer. */
  readOnly?: boolean;
  /** The upper layer on the disk may differ: for cases that are only about the merged tree. */
  seenOnly?: boolean;
  /** Calls, each of which the probe records. */
  run(probe: Probe): void | Promise<void>;
}

/** The case's directory below the mount and each layer. */
export function directoryName(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 80);
}
