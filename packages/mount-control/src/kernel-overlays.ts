/** Finds the directories that kernel overlays write to. */
import { statSync } from "node:fs";
import { unfit } from "@sluice/runtime/cli";
import { splitEscaped, unescapeName } from "./escaped-list.js";
import { decodeField, mountOf, type MountRow } from "./mount-table.js";

/**
 * The kernel locks upper and work directories among its own overlays only, and tells nobody else; its mounts tell.
 * @throws CliError, exit code 4
 */
export function checkNoKernelOverlay(directories: readonly { given: string; key: string }[], table: readonly MountRow[]): void {
  const writers = kernelWriters(table);
  for (const { key, given } of directories) {
    const mountpoint = writers.get(key);
    if (mountpoint === undefined) continue;
    throw unfit(
      given,
      `kernel overlayfs mounted on ${mountpoint} writes to this directory (EBUSY)`,
      "unmount that one first, or give another directory",
    );
  }
}

/** Upper and work directories of kernel overlays, by "device:inode", with the mount point of each. */
export function kernelWriters(table: readonly MountRow[]): Map<string, string> {
  const writers = new Map<string, string>();
  for (const row of table) {
    if (row.type !== "overlay") continue;
    for (const path of writableDirectoriesOf(row)) {
      // It would be asked of a server, which may be this very process.
      if (mountOf(path, table)?.type === "fuse.sluice") continue;
      const key = keyOf(path);
      if (key !== undefined) writers.set(key, row.mountpoint);
    }
  }
  return writers;
}

/** upperdir and workdir as mount(2) got them. A relative name cannot be resolved from here, so it is left out. */
function writableDirectoriesOf(row: MountRow): string[] {
  return splitEscaped(decodeField(row.superOptions), ",", false)
    .filter((word) => /^(upper|work)dir=\//.test(word))
    .map((word) => unescapeName(word.slice(word.indexOf("=") + 1)));
}

/** Undefined if nothing is there, or if this user may not look there: the layers were reached, so it is none of them. */
function keyOf(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}
