/**
 * Checks whether another mount writes to a layer, or to a directory above it. As in the kernel (fs/overlayfs/super.c ovl_check_layer,
 * ovl_report_in_use), a mount with an index relies on unchanged layers and is refused; others get a warning. The check cannot see
 * directories above the root of a bind mount.
 */
import { statSync } from "node:fs";
import { dirname } from "node:path";
import { isClaimed, isClaimedDirectory } from "@sluice/keeper-link";
import { unfit } from "@sluice/runtime/cli";
import { kernelWriters, type MountRow } from "@sluice/mount-control";
import type { LocatedDirectory } from "./located-directory.js";
import type { Tell } from "./tell.js";

export interface LayersToCheck {
  below: readonly LocatedDirectory[];
  /** Another check has made sure that no other mount uses these directories. */
  writable: readonly LocatedDirectory[];
}

interface NotWritten {
  index: boolean;
  /** Gets warnings, with the layer that each is about. */
  tell: Tell;
}

/** @throws CliError if another mount writes to one and the options ask for `index` */
export function checkNotWritten({ below, writable }: LayersToCheck, table: readonly MountRow[], { index, tell }: NotWritten): void {
  const writers = kernelWriters(table);
  const known = new Map<string, string | undefined>();
  const writerOf = ({ path, key, isClaimed: claimed }: Suspect): string | undefined => {
    const other = writers.get(key);
    if (!known.has(path)) known.set(path, other === undefined ? (claimed() ? "another mount" : undefined) : `kernel overlayfs on ${other}`);
    return known.get(path);
  };
  for (const place of [...below, ...writable]) {
    for (const suspect of suspectsOf(place, below.includes(place))) {
      const { path } = suspect;
      const writer = writerOf(suspect);
      if (writer === undefined) continue;
      report(place, `${writer} writes to ${path === place.real ? "it" : path}`, { index, tell });
      break;
    }
  }
}

/** A directory that another mount may write to. */
interface Suspect {
  path: string;
  key: string;
  isClaimed(): boolean;
}

/** The directories above a layer on the same file system, and with `itself` the layer. */
function* suspectsOf(place: LocatedDirectory, itself: boolean): Generator<Suspect> {
  const { real, key, dev, opened } = place;
  if (opened === undefined) return yield* upwards(itself ? real : dirname(real), dev);
  if (itself) yield { path: real, key, isClaimed: () => isClaimedDirectory(opened.fd) };
  for (const above of opened.above) {
    if (above.dev !== dev) return;
    yield { path: above.path, key: above.key, isClaimed: () => above.isClaimed };
  }
}

function* upwards(from: string, dev: bigint): Generator<Suspect> {
  for (let path = from; ; path = dirname(path)) {
    const stat = statSync(path, { bigint: true });
    if (stat.dev !== dev) return;
    yield { path, key: `${stat.dev}:${stat.ino}`, isClaimed: () => isClaimed(path) };
    if (path === "/") return;
  }
}

function report({ given }: LocatedDirectory, what: string, { index, tell }: NotWritten): void {
  if (index) {
    throw unfit(
      given,
      `with index=on no layer may be written to by another mount, and ${what} (EBUSY)`,
      "unmount that one, or use index=off",
    );
  }
  tell(given, `${what}: changes by both have undefined results`);
}
