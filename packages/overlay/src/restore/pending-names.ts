/** The names of files that have a record and no object. */
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
