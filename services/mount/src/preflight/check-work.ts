/** Is the upper layer free, and did the last mount leave its work directory so that it may be used again? */
import { readdirSync, statSync } from "node:fs";
import { splitEscaped, unescapeName } from "../config/escaped-list.js";
import { unfit } from "../complaint.js";
import { decodeField, type MountRow } from "./mount-table.js";
import type { Place } from "./place.js";

/** What an overlay leaves in its work directory, the kernel's and ours. */
const WORK_ENTRIES = new Set(["work", "index"]);

export function checkWorkEmpty(work: Place): void {
  const foreign = readdirSync(work.real).find((name) => !WORK_ENTRIES.has(name));
  if (foreign !== undefined) {
    throw unfit(work.given, `the work directory holds "${foreign}" that no overlay put there (ENOTEMPTY)`, "give an empty directory");
  }
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/**
 * A volatile mount marks its work directory, and nothing takes the mark away: whether what it wrote has reached the disk is
 * for people to say. Whatever else lies there is a feature that a later overlayfs may have introduced.
 */
export function checkCompatible(work: Place, upper: Place): void {
  const incompat = `${work.real}/work/incompat`;
  const features = entriesOf(incompat);
  if (features.includes("volatile")) {
    throw unfit(
      work.given,
      "an earlier mount of it was volatile, so what the upper layer holds may be incomplete (EINVAL)",
      `empty ${upper.given} and ${work.given}; or, if the machine has not crashed since, run 'sync' and remove ${incompat}/volatile`,
    );
  }
  const [feature] = features;
  if (feature !== undefined) {
    throw unfit(work.given, `it was used with the feature "${feature}" that Sluice does not know (EINVAL)`, "mount it with what made it");
  }
}

/** The kernel locks upper and work directories among its own overlays only, and where it does not tell: its mounts do. */
export function checkNoKernelOverlay(places: readonly Place[], table: readonly MountRow[]): void {
  for (const row of table) {
    if (row.type !== "overlay") continue;
    const keys = writableDirectoriesOf(row).map(keyOf);
    const place = places.find(({ key }) => keys.includes(key));
    if (place === undefined) continue;
    throw unfit(
      place.given,
      `kernel overlayfs mounted on ${row.mountpoint} writes to this directory (EBUSY)`,
      "unmount that one first, or give another directory",
    );
  }
}

/** upperdir and workdir as they were given to mount(2): a relative name is nothing that could be looked at from here. */
function writableDirectoriesOf(row: MountRow): string[] {
  return splitEscaped(decodeField(row.superOptions), ",", false)
    .filter((word) => /^(upper|work)dir=\//.test(word))
    .map((word) => unescapeName(word.slice(word.indexOf("=") + 1)));
}

function keyOf(path: string): string | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`;
}
