/**
 * Counts changes that names, sizes and times do not tell: of extended attributes and access lists alone, and of a content that kept its size and got
 * its former time back.
 */
import { type Difference, kindOf } from "@sluice/changes";
import { kindOfChange, MountedOver } from "@sluice/layer-tools";
import { type ChangeCounts, countChanges } from "@sluice/sandbox";
import type { Session } from "@sluice/sessions";

function isUnseen({ before, after }: Difference): boolean {
  if (before === undefined || after === undefined) return false;
  const kind = kindOfChange(after.object.attr, before.object.attr);
  return kind === undefined || kind === "copied";
}

const KINDS = {
  added: "added",
  renamed: "added",
  deleted: "deleted",
  modified: "modified",
  "type changed": "modified",
  metadata: "metadata",
} as const;

function countFound(found: readonly Difference[]): ChangeCounts {
  const counts: ChangeCounts = { modified: 0, added: 0, deleted: 0, replaced: 0, metadata: 0 };
  for (const one of found) {
    const kind = kindOf(one);
    if (kind !== "covered") counts[KINDS[kind]]++;
  }
  return counts;
}

/** @param found all differences of the session. @throws CliError if a layer cannot be read */
export function countReviewed(session: Session, found: readonly Difference[]): ChangeCounts {
  try {
    return withUnseen(countChanges(session), found);
  } catch (error) {
    // A directory that was moved from there has unknown entries.
    if (error instanceof MountedOver) return countFound(found);
    throw error;
  }
}

function withUnseen(counts: ChangeCounts, found: readonly Difference[]): ChangeCounts {
  const unseen = found.filter(isUnseen);
  const modified = unseen.filter(({ aspects }) => aspects.includes("content")).length;
  return { ...counts, modified: counts.modified + modified, metadata: counts.metadata + unseen.length - modified };
}
