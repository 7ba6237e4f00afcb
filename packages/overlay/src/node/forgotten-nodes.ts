/**
 * Nodes that the kernel forgot, by the ids it knew them by. A file handle (name_to_handle_at(2), NFS) is a nodeId: to open it
 * after the kernel dropped its caches, the node has to be found again, and to get the same id. Renames and removals update the
 * records, so a record is stale only after a change of the layers below the mount. The oldest records go when there are too
 * many: their handles are stale.
 */
import type { ByteName, NodeId } from "@sluice/vfs";
import { type ForgottenName, ForgottenNames, type ForgottenObject } from "./forgotten-names.js";
import type { Node } from "./node.js";

/** Of one record. Each costs time whenever the kernel forgets or finds the node, and a file may have 65,000. */
export const MAX_NAMES = 32;

export interface ForgottenNode extends ForgottenObject {
  /** Those that were known, MAX_NAMES at most; one at least. */
  readonly names: readonly ForgottenName[];
}

export class ForgottenNodes {
  /** Undefined until something is forgotten. */
  #names: ForgottenNames | undefined;

  get(id: NodeId): ForgottenNode | undefined {
    const slot = this.#names?.of(id) ?? 0;
    return this.#names === undefined || slot === 0 ? undefined : recordAt(this.#names, slot);
  }

  remember(node: Node): void {
    const { parent } = node;
    if (parent === undefined || node.others !== undefined || node.unseenNames !== undefined) {
      const record = recordOf(node);
      if (record !== undefined) this.add(record);
      return;
    }
    this.#begin(node.id).add(node, parent.id, node.name);
  }

  /**
   * Takes out the id that the same object was known by at this place; 0 if there is none. If it had further names, the node
   * gets all of them as unseen ones.
   */
  take(node: Node, parent: Node, name: ByteName): NodeId {
    const names = this.#names;
    if (names === undefined) return 0;
    const slot = names.at(parent.id, name);
    if (slot === 0) return 0;
    const id = names.id(slot);
    const same = names.isOf(slot, node);
    if (same && names.further(names.of(id)) !== 0) node.unseenNames = recordAt(names, slot).names;
    names.drop(id);
    return same ? id : 0;
  }

  /** Fills an empty table with the records of an earlier mount, the newest first. */
  restore(records: readonly ForgottenNode[]): void {
    for (const record of records.toReversed()) this.add(record);
  }

  /** The newest first. */
  *all(): IterableIterator<ForgottenNode> {
    const names = this.#names;
    if (names === undefined) return;
    for (let slot = names.newest; slot !== 0; slot = names.older(slot)) if (names.of(names.id(slot)) === slot) yield recordAt(names, slot);
  }

  clear(): void {
    this.#names = undefined;
  }

  /** As `remember`, of a node without an object. */
  add(record: ForgottenNode): void {
    const names = this.#begin(record.id);
    for (const { parentId, name } of record.names) names.add(record, parentId, name);
  }

  #begin(id: NodeId): ForgottenNames {
    this.#names ??= new ForgottenNames();
    this.#names.drop(id);
    return this.#names;
  }
}

/** All that is known of the id of a slot, in the order in which it was remembered. */
function recordAt(names: ForgottenNames, slot: number): ForgottenNode {
  const id = names.id(slot);
  const known: ForgottenName[] = [];
  for (let at = names.of(id); at !== 0; at = names.further(at)) known.push({ parentId: names.parentId(at), name: names.name(at) });
  return { ...names.object(slot), names: known.reverse() };
}

/** Undefined if it has no name. */
export function recordOf(node: Node): ForgottenNode | undefined {
  const { id, kind, inoLo, inoHi } = node;
  const names = namesOf(node);
  return names.length === 0 ? undefined : { id, kind, inoLo, inoHi, names };
}

/** Those that nobody looked at since it was brought back included: one of them may be all that is left. */
function namesOf(node: Node): readonly ForgottenName[] {
  if (node.parent === undefined) return node.unseenNames ?? [];
  const { parent, name, others = [], unseenNames = [] } = node;
  const further = others.slice(0, MAX_NAMES - 1).map((other) => ({ parentId: other.parent.id, name: other.name }));
  return [{ parentId: parent.id, name }, ...further, ...unseenNames.slice(0, MAX_NAMES - 1 - further.length)];
}

/** This name is not an unseen one any more. */
export function nameSeen(node: Node, parent: Node, name: ByteName): void {
  const left = node.unseenNames?.filter((other) => other.parentId !== parent.id || other.name !== name);
  node.unseenNames = left?.length === 0 ? undefined : left;
}
