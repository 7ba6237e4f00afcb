/**
 * Differences between the data path and the bare file system, line by line, with reasons. docs/data-path.md shows the same
 * table.
 */
import type { World } from "./worlds.js";

export interface Difference {
  rule: string;
  worlds: readonly World[];
  /** The probe's line on the bare file system, and the line that replaces it. */
  native: string;
  instead: string;
  why: string;
}

const NO_NOWAIT =
  "neither the kernel's FUSE file nor kernel overlayfs here has FMODE_NOWAIT: the caller gets the error and reads without the flag";
const STILL_OPEN_AS =
  "the kernel opened the backing file with the first flags, and fcntl(2) with F_SETFL does not reach it (fs/fuse/passthrough.c)";
const STORED_BEFORE =
  "the kernel keeps what a mapping stores in the last page beyond the end, and tells the daemon neither before nor after a growth (fs/fuse/file.c)";
const NO_ALIGNMENT = "the daemon reads and writes through its own page cache, which needs no alignment";

export const differences: readonly Difference[] = [
  { rule: "RWF_NOWAIT", worlds: ["kernel", "granted", "mediated"], native: "preadv2: 4", instead: "preadv2: EOPNOTSUPP", why: NO_NOWAIT },
  ...(
    [
      ["offset 1", 4096],
      ["length 100", 100],
      ["buffer at 1", 4096],
    ] as const
  ).map(
    ([label, written]): Difference => ({
      rule: "O_DIRECT that is not aligned",
      worlds: ["mediated"],
      native: `${label}: EINVAL`,
      instead: `${label}: ${written}`,
      why: NO_ALIGNMENT,
    }),
  ),
  ...(
    [
      ["bytes of which are at 0: 2", "bytes of which are at 0: 0"],
      ["write of 3: 3", "write of 3: EINVAL"],
      ["direct write of 5: EINVAL", "direct write of 5: 5"],
    ] as const
  ).map(
    ([native, instead]): Difference => ({
      ...{ rule: "flags that are set and cleared later", worlds: ["granted"], native, instead, why: STILL_OPEN_AS },
    }),
  ),
  {
    rule: "flags that are set and cleared later",
    worlds: ["mediated"],
    native: "direct write of 5: EINVAL",
    instead: "direct write of 5: 5",
    why: NO_ALIGNMENT,
  },
  ...["ftruncate", "fallocate", "a write"].map(
    (growth): Difference => ({
      rule: "stores of a mapping beyond the end, then a longer file",
      worlds: ["mediated"],
      native: `zeros after ${growth}: 1`,
      instead: `zeros after ${growth}: 0`,
      why: STORED_BEFORE,
    }),
  ),
];
