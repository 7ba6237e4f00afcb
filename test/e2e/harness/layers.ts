/** The layers of one test: planted below one directory of its own, so that the work directory goes with them. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Attributes, file, plant, type Planted, scratch, type Tree } from "@sluice/testkit";

export interface Layers {
  root: string;
  lower: string;
  upper: string;
}

export function layers(trees: { lower?: Tree; upper?: Tree }, root = scratch()): Layers {
  const [lower, upper] = ["lower", "upper"].map((name) => join(root, name)) as [string, string];
  for (const path of [lower, upper]) mkdirSync(path);
  return { root, lower: plant(lower, trees.lower ?? {}), upper: plant(upper, trees.upper ?? {}) };
}

/** Read before it was last written, so that a read on a relatime mount would move its access time. */
export const unread = { atimeNs: 1_000_000_000n * 10n ** 9n, mtimeNs: 1_500_000_000n * 10n ** 9n } as const;

/** A file for everybody: what decides is the policy. */
export function open(content: string | Uint8Array, attributes: Attributes = {}): Planted {
  return file(content, { mode: 0o666, ...unread, ...attributes });
}
