/** Counts the changes of a session as `sluice diff` lists them. In reports for programs a renamed file is one added and one deleted. */
import { type Difference, kindOf, listChanges } from "@sluice/changes";
import { native } from "@sluice/native";
import { isUntouched } from "@sluice/sandbox";
import type { Session } from "@sluice/sessions";
import { placeOf } from "./session-changes.js";

export interface ChangeCounts {
  modified: number;
  added: number;
  deleted: number;
  /** Always 0: each file of a replaced directory counts by itself. Earlier versions counted such directories. */
  replaced: number;
  /** Only the mode, the owner or attributes are other ones. */
  metadata: number;
}

const KINDS = {
  added: "added",
  renamed: "added",
  deleted: "deleted",
  modified: "modified",
  "type changed": "modified",
  metadata: "metadata",
} as const;

/** @param found all differences of the session */
export function countFound(found: readonly Difference[]): ChangeCounts {
  const counts: ChangeCounts = { modified: 0, added: 0, deleted: 0, replaced: 0, metadata: 0 };
  for (const one of found) {
    const kind = kindOf(one);
    if (kind !== "covered") counts[KINDS[kind]]++;
  }
  return counts;
}

/** @throws CliError if a layer or the directory cannot be read */
export function changesIn(session: Session): Difference[] {
  if (isUntouched(session) && session.hasBase()) return [];
  const { base, upper, frozen = [], snapshot, records = [], ...place } = placeOf(session);
  const trees = [base, upper, ...frozen, ...(snapshot === undefined ? [] : [snapshot])];
  try {
    return listChanges({ ...place, base, upper, frozen, snapshot });
  } finally {
    for (const fd of [...trees.map((tree) => tree.fd), ...records]) native.close(fd);
  }
}
