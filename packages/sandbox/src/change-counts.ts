/** Counts the changes of a session, for one line of summary. */
import { native } from "@sluice/native";
import { openTree, type Tree } from "@sluice/layer-tools/tree";
import { walkUpper } from "@sluice/layer-tools";
import type { Session } from "@sluice/sessions";

export interface ChangeCounts {
  modified: number;
  added: number;
  deleted: number;
  /** Directories that are replaced as a whole: everything that was in them is deleted. */
  replaced: number;
  /** Only the mode or the owner is another one. */
  metadata: number;
}

const COUNTED = {
  modified: "modified",
  added: "added",
  deleted: "deleted",
  opaque: "replaced",
  metadata: "metadata",
  copied: undefined,
} as const;

/** @throws CliError if a layer cannot be read */
export function countChanges(session: Session): ChangeCounts {
  const counts: ChangeCounts = { modified: 0, added: 0, deleted: 0, replaced: 0, metadata: 0 };
  const trees = [session.openLayer("upper")];
  try {
    const [upper, lower] = [trees[0] as Tree, openTree(session.base, session.record.userXattr)];
    trees.push(lower);
    for (const { kind } of walkUpper(upper, [lower])) if (kind !== "copied") counts[COUNTED[kind]]++;
  } finally {
    for (const { fd } of trees) native.close(fd);
  }
  return counts;
}

const directories = (count: number): string => `${count} ${count === 1 ? "directory" : "directories"} replaced`;

/** Such as "2 modified, 1 added"; kinds without a change are left out. */
export function summaryOf({ modified, added, deleted, replaced, metadata }: ChangeCounts): string {
  const parts = [
    ...(modified > 0 ? [`${modified} modified`] : []),
    ...(added > 0 ? [`${added} added`] : []),
    ...(deleted > 0 ? [`${deleted} deleted`] : []),
    ...(replaced > 0 ? [directories(replaced)] : []),
    ...(metadata > 0 ? [`${metadata} with another mode or owner`] : []),
  ];
  return parts.length === 0 ? "no changes" : parts.join(", ");
}
