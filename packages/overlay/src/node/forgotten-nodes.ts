/**
 * Nodes that the kernel forgot, by the ids it knew them by. A file handle (name_to_handle_at(2), NFS) is a nodeId: to open it
 * after the kernel dropped its caches, the node has to be found again, and to get the same id. What is renamed or removed is
 * known at that time, so a record here is never stale, but for what happens below the mount. The oldest go when there are
 * too many: their handles are stale.
 */
import type { ByteName, NodeId } from "@sluice/vfs";
import type { Node } from "./node.js";

/** Of one generation; there are two. */
const MAX_RECORDS = 32_768;
/** Of one record. Each costs time whenever the kernel forgets or finds the node, and a file may have 65,000. */
const MAX_NAMES = 32;

export interface ForgottenName {
  parentId: NodeId;
  name: ByteName;
}

export interface ForgottenNode {
  id: NodeId;
  /** Those that were known, MAX_NAMES at most; one at least. */
  names: readonly ForgottenName[];
  kind: number;
  inoLo: number;
  inoHi: number;
}

class Generation {
  readonly byId = new Map<NodeId, ForgottenNode>();
  readonly byPlace = new Map<string, ForgottenNode>();

  add(record: ForgottenNode): void {
    this.byId.set(record.id, record);
    for (const { parentId, name } of record.names) this.byPlace.set(placeOf(parentId, name), record);
  }

  take(place: string): ForgottenNode | undefined {
    const record = this.byPlace.get(place);
    if (record === undefined) return undefined;
    for (const { parentId, name } of record.names) this.byPlace.delete(placeOf(parentId, name));
    this.byId.delete(record.id);
    return record;
  }
}

/**
 * Two generations, of which the older is dropped as a whole: taking the oldest record out of one map, again and again, would
 * walk over all that were taken before.
 */
export class ForgottenNodes {
  #young = new Generation();
  #old = new Generation();

  get(id: NodeId): ForgottenNode | undefined {
    return this.#young.byId.get(id) ?? this.#old.byId.get(id);
  }

  remember(node: Node): void {
    const record = recordOf(node);
    if (record === undefined) return;
    for (const { parentId, name } of record.names) this.#take(placeOf(parentId, name));
    if (this.#young.byId.size >= MAX_RECORDS) {
      this.#old = this.#young;
      this.#young = new Generation();
    }
    this.#young.add(record);
  }

  /** What the same object was known by at the same place; it is not remembered any more. */
  take(node: Node, parent: Node, name: ByteName): ForgottenNode | undefined {
    const record = this.#take(placeOf(parent.id, name));
    if (record === undefined) return undefined;
    return record.kind === node.kind && record.inoLo === node.inoLo && record.inoHi === node.inoHi ? record : undefined;
  }

  /** What an earlier mount remembered; it is the first to go. */
  restore(records: Iterable<ForgottenNode>): void {
    for (const record of records) this.#old.add(record);
  }

  *all(): IterableIterator<ForgottenNode> {
    yield* this.#young.byId.values();
    yield* this.#old.byId.values();
  }

  clear(): void {
    this.#young = new Generation();
    this.#old = new Generation();
  }

  #take(place: string): ForgottenNode | undefined {
    return this.#young.take(place) ?? this.#old.take(place);
  }
}

/** Undefined where it has no name. */
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

function placeOf(parentId: NodeId, name: ByteName): string {
  return `${parentId}/${name}`;
}
