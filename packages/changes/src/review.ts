/** The differences of a layer stack with all that is known of them. */
import type { LayerStack } from "@sluice/layer-tools";
import { findConflicts, type Known, NOTHING_KNOWN } from "./conflicts.js";
import { findLinks } from "./links.js";
import type { OnProgress } from "./difference.js";
import { findRenames } from "./renames.js";
import { type Differences, findDifferences } from "./walk-differences.js";

/** @throws CliError */
export function reviewLayers(stack: LayerStack, known: Known = NOTHING_KNOWN, onProgress?: OnProgress): Differences {
  const differences = findDifferences(stack, onProgress);
  findRenames(stack, differences.list);
  findLinks(stack, differences, known);
  findConflicts(stack, differences, known);
  return differences;
}
