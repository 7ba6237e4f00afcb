/** Records trees to a file, and compares two such records. */
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { compareSnapshots, digestSnapshot, primeAccessTimes, takeSnapshot, type TreeSnapshot } from "../tree-snapshot.js";
import type { CompareOutput, SnapshotInput, SnapshotOutput } from "./task-table.js";

/** Longer than the kernel's clock of timestamps ticks, so that a file just written is older than its first access. */
const CLOCK_TICK_MS = 50;

export async function recordTrees({ trees, options, primeTimes, output }: SnapshotInput): Promise<SnapshotOutput> {
  if (primeTimes) {
    await sleep(CLOCK_TICK_MS);
    for (const tree of trees) primeAccessTimes(tree.root);
  }
  const entries: Record<string, TreeSnapshot[string]> = {};
  for (const tree of trees)
    for (const [path, entry] of Object.entries(takeSnapshot(tree.root, options)))
      entries[tree.name === "" ? path : `${tree.name}/${path}`] = entry;
  writeFileSync(output, JSON.stringify(entries));
  return { objects: Object.keys(entries).length, digest: digestSnapshot(entries) };
}

export function compareRecords(input: { before: string; after: string }): CompareOutput {
  const read = (path: string): TreeSnapshot => JSON.parse(readFileSync(path, "utf8")) as TreeSnapshot;
  const before = read(input.before);
  return { objects: Object.keys(before).length, differences: compareSnapshots(before, read(input.after)) };
}
