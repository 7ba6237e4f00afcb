/**
 * Differences between the portable engine and the kernel, with the declared limits that explain them: known-differences.json
 * has the compared lines of each case. To see the current differences, set SLUICE_PORTABLE_REPORT=FILE.
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

/** Cases that cannot be compared at all, with the reason. */
export const excludedCases: readonly { case: RegExp; limits: readonly EngineCapabilityName[] }[] = [
  // Its content is compared by seeking from data to data.
  { case: /^a sparse file of a tebibyte$/, limits: ["seekHole"] },
  // An ioctl sets flags of files.
  { case: /^((immutable|append only) files and directories of|the time of change moves when flags are set)/, limits: ["ioctl"] },
  // From the first RENAME_EXCHANGE on, the trees differ.
  { case: /^random walk/, limits: ["renameFlags"] },
];
