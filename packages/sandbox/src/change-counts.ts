/** Counts the changes of a session, for one line of summary. */
import { readdirSync } from "node:fs";
import { native } from "@sluice/native";
import type { Tree } from "@sluice/layer-tools/tree";
import { type ChangeKind, isDirectory, kindOfChange, LayerStack, type UpperItem, walkUppers } from "@sluice/layer-tools";
import type { Session } from "@sluice/sessions";

export interface ChangeCounts {
  modified: number;
  added: number;
  deleted: number;
  /** Directories that are replaced as a whole: everything that was in them is deleted. */
  replaced: number;
  /** Only the mode, the owner or attributes are other ones. */
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

function kindOfItem(item: UpperItem): ChangeKind | undefined {
  if (item.path === "") return undefined;
  if (item.kind === "whiteout") return item.before === undefined ? undefined : "deleted";
  const { before, object } = item;
  if (item.kind === "directory") {
    if (item.redirect !== undefined || before === undefined) return "added";
    if (item.opaque || !isDirectory(before.attr)) return "opaque";
  }
  return before === undefined ? "added" : kindOfChange(object.attr, before.attr);
}

function* kindsOf(own: readonly Tree[], lower: Tree): Iterable<ChangeKind | undefined> {
  for (const item of walkUppers(new LayerStack([...own, lower], { uppers: own.length }))) yield kindOfItem(item);
}

/** From names, sizes, times, modes and owners, without a look at contents and attributes. @throws CliError if a layer cannot be read */
export function countChanges(session: Session): ChangeCounts {
  const counts: ChangeCounts = { modified: 0, added: 0, deleted: 0, replaced: 0, metadata: 0 };
  const own = session.settled(() => session.openLayers());
  const trees = [...own];
  try {
    const lower = session.openLowest();
    trees.push(lower);
    for (const kind of kindsOf(own, lower)) if (kind !== undefined && kind !== "copied") counts[COUNTED[kind]]++;
  } finally {
    for (const { fd } of trees) native.close(fd);
  }
  return counts;
}

/** No layer of the session has anything, so nothing needs to be compared. */
export function isUntouched({ record, upper }: Session): boolean {
  try {
    return record.layers.length === 0 && readdirSync(upper).length === 0;
  } catch {
    // The command closed its directory: a review opens it.
    return false;
  }
}

export const hasAny = (counts: ChangeCounts): boolean => Object.values(counts).some((count: number) => count > 0);

const directories = (count: number): string => `${count} ${count === 1 ? "directory" : "directories"} replaced`;

/** Such as "2 modified, 1 added"; kinds without a change are left out. */
export function summaryOf({ modified, added, deleted, replaced, metadata }: ChangeCounts): string {
  const parts = [
    ...(modified > 0 ? [`${modified} modified`] : []),
    ...(added > 0 ? [`${added} added`] : []),
    ...(deleted > 0 ? [`${deleted} deleted`] : []),
    ...(replaced > 0 ? [directories(replaced)] : []),
    ...(metadata > 0 ? [`${metadata} with other metadata`] : []),
  ];
  return parts.length === 0 ? "no changes" : parts.join(", ");
}
