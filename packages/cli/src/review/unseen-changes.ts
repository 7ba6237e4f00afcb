/**
 * Counts changes that names, sizes and times do not tell: of extended attributes and access lists alone, and of a content that kept its size and got
 * its former time back.
 */
import type { Difference } from "@sluice/changes";
import { kindOfChange } from "@sluice/layer-tools";
import type { ChangeCounts } from "@sluice/sandbox";

function isUnseen({ before, after }: Difference): boolean {
  if (before === undefined || after === undefined) return false;
  const kind = kindOfChange(after.object.attr, before.object.attr);
  return kind === undefined || kind === "copied";
}

/** @param found all differences of the session */
export function withUnseen(counts: ChangeCounts, found: readonly Difference[]): ChangeCounts {
  const unseen = found.filter(isUnseen);
  const modified = unseen.filter(({ aspects }) => aspects.includes("content")).length;
  return { ...counts, modified: counts.modified + modified, metadata: counts.metadata + unseen.length - modified };
}
