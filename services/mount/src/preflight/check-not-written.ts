/**
 * Checks whether another mount writes to a layer, or to a directory above it. As in the kernel (fs/overlayfs/super.c ovl_check_layer,
 * ovl_report_in_use), a mount with an index relies on unchanged layers and is refused; others get a warning. The check cannot see
 * directories above the root of a bind mount.
 */
import { statSync } from "node:fs";
import { dirname } from "node:path";
import { isClaimed } from "@sluice/keeper-link";
import { unfit } from "@sluice/runtime/cli";
import { kernelWriters, type MountRow } from "@sluice/mount-control";
import type { LocatedDirectory } from "./located-directory.js";

export interface LayersToCheck {
  below: readonly LocatedDirectory[];
  /** Another check has made sure that no other mount uses these directories. */
  writable: readonly LocatedDirectory[];
}

/** @throws CliError if another mount writes to one and the options ask for `index` */
export function checkNotWritten({ below, writable }: LayersToCheck, table: readonly MountRow[], index: boolean): void {
  const writers = kernelWriters(table);
  const known = new Map<string, string | undefined>();
  const writerOf = (path: string, key: string): string | undefined => {
    if (!known.has(path)) known.set(path, writers.has(key) ? `kernel overlayfs on ${writers.get(key)}` : claimer(path));
    return known.get(path);
  };
  for (const place of [...below, ...writable]) {
    const from = below.includes(place) ? place.real : dirname(place.real);
    for (const [path, key] of upwards(from, place.dev)) {
      const writer = writerOf(path, key);
      if (writer === undefined) continue;
      report(place, `${writer} writes to ${path === place.real ? "it" : path}`, index);
      break;
    }
  }
}

function claimer(path: string): string | undefined {
  return isClaimed(path) ? "another mount" : undefined;
}

/** A directory and its parents on the same file system, each with its key. */
function* upwards(from: string, dev: bigint): Generator<[path: string, key: string]> {
  for (let path = from; ; path = dirname(path)) {
    const stat = statSync(path, { bigint: true });
    if (stat.dev !== dev) return;
    yield [path, `${stat.dev}:${stat.ino}`];
    if (path === "/") return;
  }
}

function report({ given }: LocatedDirectory, what: string, index: boolean): void {
  if (index) {
    throw unfit(
      given,
      `with index=on no layer may be written to by another mount, and ${what} (EBUSY)`,
      "unmount that one, or use index=off",
    );
  }
  process.stderr.write(`sluice: ${given}: ${what}: what both change is undefined\n`);
}
