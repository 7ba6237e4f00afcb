/** Finds the names of files with several names (hard links): those that the merged tree shows, and those that stay with the old file. */
import { type Hit, isDirectory, type LayerStack } from "@sluice/layer-tools";
import type { Difference, Side } from "./difference.js";
import { inodeKeyOf } from "./identity.js";
import type { Known } from "./conflicts.js";
import { handleOf, originBelow } from "./origin.js";
import type { Differences } from "./walk-differences.js";

const hasSeveralNames = (side: Side | undefined): side is Side =>
  side !== undefined && !isDirectory(side.object.attr) && side.object.attr.nlink > 1;

/** The paths of all names by inode. */
function namesBy(list: readonly Difference[], sideOf: (one: Difference) => Side | undefined): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const one of list) {
    const side = sideOf(one);
    if (!hasSeveralNames(side)) continue;
    const key = inodeKeyOf(side.object.attr);
    const others = names.get(key);
    if (others === undefined) names.set(key, [one.path]);
    else others.push(one.path);
  }
  return names;
}

/** Whether it is the same file, which was opened and written: all names of it would show that. */
function isChangedInPlace(stack: LayerStack, before: Hit, after: Hit): boolean {
  const handle = stack.isUpper(after) ? handleOf(stack, before) : undefined;
  return handle !== undefined && originBelow(stack, after) === handle;
}

export function findLinks(
  stack: LayerStack,
  { list, unchanged }: Pick<Differences, "list" | "unchanged">,
  { records, keptNames: kept = new Map() }: Pick<Known, "records" | "keptNames">,
): void {
  const now = namesBy(list, ({ after }) => after);
  const then = namesBy(list, ({ before }) => before);
  for (const one of list) {
    const { path, before, after } = one;
    const isFile = before !== undefined && !isDirectory(before.object.attr);
    if (isFile && (hasSeveralNames(before) || records.isShared(path))) one.isShared = true;
    if (after === undefined) continue;
    const key = inodeKeyOf(after.object.attr);
    const names = hasSeveralNames(after) ? [...(now.get(key) ?? []), ...(unchanged.get(key) ?? []).map((lower) => lower.path)] : [];
    if (names.length > 1) one.sameFile = names.filter((name) => name !== path).sort();
    if (!hasSeveralNames(before) || !isChangedInPlace(stack, before.object, after.object)) continue;
    const inode = inodeKeyOf(before.object.attr);
    const old = before.object.attr.nlink - (then.get(inode)?.length ?? 0) - (kept.get(inode) ?? 0);
    if (old > 0) one.oldNames = old;
  }
}
