/** Plants the layers of one test below a directory of their own, so that the work directory is removed with them. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Attributes, file, plant, type Planted, type Tree } from "./plant.js";
import { scratch } from "./scratch.js";

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

/** An access time before the modification time, so that a read on a relatime mount would move it. */
export const unread = { atimeNs: 1_000_000_000n * 10n ** 9n, mtimeNs: 1_500_000_000n * 10n ** 9n } as const;

/** A file that its mode lets everybody read and write, so that only the policy restricts it. */
export function publicFile(content: string | Uint8Array, attributes: Attributes = {}): Planted {
  return file(content, { mode: 0o666, ...unread, ...attributes });
}
