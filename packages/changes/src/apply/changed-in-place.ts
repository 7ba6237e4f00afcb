/**
 * Finds the changes that leave an object of the directory where it is, and give it other metadata. An object with several names is not among
 * them unless all of its names get the same: a name outside of the directory, or one that is not applied, would change with it.
 */
import { isDirectory, type LayerStack } from "@sluice/layer-tools";
import { aspectsOf } from "../aspects.js";
import type { Difference, Side } from "../difference.js";
import { inodeKeyOf } from "../identity.js";

interface Changed extends Difference {
  before: Side;
  after: Side;
}

function onlyMetadata(one: Difference): one is Changed {
  return one.before !== undefined && one.after !== undefined && !one.aspects.includes("type") && !one.aspects.includes("content");
}

const becomeSame = (stack: LayerStack, [first, ...others]: readonly Changed[]): boolean =>
  others.every(({ after }) => aspectsOf(stack, (first as Changed).after, after).length === 0);

/** @param kept so many names of each inode are kept for an undo */
export function changedInPlace(
  stack: LayerStack,
  chosen: readonly Difference[],
  kept: ReadonlyMap<string, number>,
): ReadonlySet<Difference> {
  const found = new Set<Difference>();
  const names = new Map<string, Changed[]>();
  for (const one of chosen.filter(onlyMetadata)) {
    const { attr } = one.before.object;
    const others = names.get(inodeKeyOf(attr));
    if (isDirectory(attr) || attr.nlink < 2) found.add(one);
    else if (others === undefined) names.set(inodeKeyOf(attr), [one]);
    else others.push(one);
  }
  for (const [inode, all] of names) {
    const { nlink } = (all[0] as Changed).before.object.attr;
    if (all.length + (kept.get(inode) ?? 0) >= nlink && becomeSame(stack, all)) for (const one of all) found.add(one);
  }
  return found;
}
