/**
 * The portable engine's differences from the kernel, with the declared limits that explain them: known-differences.json has
 * the lines of each case, as they are compared. SLUICE_PORTABLE_REPORT=FILE writes the present differences.
 */
import { readFileSync } from "node:fs";
import type { EngineCapabilityName } from "@sluice/vfs";

export interface KnownDifference {
  case: string;
  limits: readonly EngineCapabilityName[];
  lines: readonly string[];
}

export const knownDifferences = JSON.parse(
  readFileSync(new URL("known-differences.json", import.meta.url), "utf8"),
) as readonly KnownDifference[];

/** Cases of which nothing can be compared, and why. */
export const excludedCases: readonly { case: RegExp; limits: readonly EngineCapabilityName[] }[] = [
  // Its content is compared by walking from data to data.
  { case: /^a sparse file of a tebibyte$/, limits: ["seekHole"] },
  // Flags of files are set by an ioctl.
  { case: /^((immutable|append only) files and directories of|the time of change moves when flags are set)/, limits: ["ioctl"] },
  // From the first RENAME_EXCHANGE on the trees are others.
  { case: /^random walk/, limits: ["renameFlags"] },
];
