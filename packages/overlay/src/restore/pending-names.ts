/** The names of nodes that have a record and no object. */
import { type NodeRecords, RecordKind } from "@sluice/journal";
import { S } from "@sluice/vfs";
import type { Dentry, Node } from "../node/node.js";

interface Restorer {
  isPending(slot: number): boolean;
  nodeOf(slot: number): Node | undefined;
}

/** Restores all pending directories on the way. Others may restore and drop nodes between two names. */
export function* namesOfPending(records: NodeRecords, restorer: Restorer): IterableIterator<Dentry> {
  for (let slot = 1; slot < records.mark; slot++) {
    if (!restorer.isPending(slot) || !records.isSound(slot) || records.kindOf(slot) !== RecordKind.node) continue;
    if (records.modeOf(slot) === S.IFDIR) restorer.nodeOf(slot);
    else yield* namesOf(records, restorer, slot);
  }
}

function namesOf(records: NodeRecords, restorer: Restorer, slot: number): Dentry[] {
  const names: Dentry[] = [];
  for (let ref = records.firstName(slot); ref !== 0; ref = records.nextName(ref)) {
    const parent = restorer.nodeOf(records.parentOf(ref));
    if (parent !== undefined) names.push({ parent, name: records.nameText(ref) });
  }
  return names;
}

/** The name goes from the record of a node. */
export function dropPendingName(records: NodeRecords, slot: number, { parent, name }: Dentry): void {
  if (nameAt(records, slot, { parent: parent.slot, name }) !== 0) parent.pendingChildren--;
  records.removeName(slot, parent.slot, name);
}

/** A name in the record of a node becomes another one, unless it has that name already. `target`: the slot of the new directory. */
export function movePendingName(
  records: NodeRecords,
  slot: number,
  { from, to, target }: { from: Dentry; to: Dentry; target: number },
): void {
  const [before, after] = [
    { parent: from.parent.slot, name: from.name },
    { parent: target, name: to.name },
  ];
  if (nameAt(records, slot, after) !== 0) return;
  if (nameAt(records, slot, before) !== 0) from.parent.pendingChildren--;
  records.changeName(slot, before, after);
  to.parent.pendingChildren++;
}

/** The place of one of the names of a record, or 0. `parent`: the slot of its directory. */
function nameAt(records: NodeRecords, slot: number, { parent, name }: { parent: number; name: string }): number {
  let ref = records.firstName(slot);
  while (ref !== 0 && (records.parentOf(ref) !== parent || records.nameText(ref) !== name)) ref = records.nextName(ref);
  return ref;
}
