/** The words of all commands for a place without a Sluice mount. */
import { type CliError, unfit } from "@sluice/runtime/cli";
import { mountAt, readMountTable } from "./mount-table.js";
import { realMountpoint } from "./run-directory.js";

export const SLUICE_TYPE = "fuse.sluice";

/** Undefined if a Sluice mount is there. It does not look at the mount itself. */
export function noSluiceMount(mountpoint: string): CliError | undefined {
  const type = mountAt(realMountpoint(mountpoint), readMountTable())?.type;
  if (type === SLUICE_TYPE) return undefined;
  const list = "'findmnt -t fuse.sluice' lists the Sluice mounts";
  if (type === undefined) return unfit(mountpoint, "nothing is mounted there (EINVAL)", list);
  return unfit(mountpoint, `it is a mount of type ${type}, not a Sluice mount (EINVAL)`, list);
}
