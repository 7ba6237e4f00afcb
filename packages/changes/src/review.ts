/** The differences of a layer stack with all that is known of them. */
import type { LayerStack } from "@sluice/layer-tools";
import { findConflicts } from "./conflicts.js";
import { findRenames } from "./renames.js";
import { type Differences, findDifferences } from "./walk-differences.js";

const NOTHING_APPLIED: ReadonlyMap<string, ReadonlySet<string>> = new Map();

/** @param applied the states that applies and their undoing gave to a path: they are not somebody else's change. @throws CliError */
export function reviewLayers(stack: LayerStack, applied = NOTHING_APPLIED): Differences {
  const differences = findDifferences(stack);
  findRenames(stack, differences.list);
  findConflicts(stack, differences, applied);
  return differences;
}
