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

export interface ForgottenNode {
  id: NodeId;
  parentId: NodeId;
  name: ByteName;
  kind: number;
  inoLo: number;
  inoHi: number;
}

class Generation {
  readonly byId = new Map<NodeId, ForgottenNode>();
  readonly byPlace = new Map<string, ForgottenNode>();

  take(place: string): ForgottenNode | undefined {
    const record = this.byPlace.get(place);
    if (record === undefined) return undefined;
    this.byPlace.delete(place);
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

  remember(node: Node, parent: Node): void {
    const { id, name, kind, inoLo, inoHi } = node;
    const place = placeOf(parent.id, name);
    this.#take(place);
    if (this.#young.byId.size >= MAX_RECORDS) {
      this.#old = this.#young;
      this.#young = new Generation();
    }
    const record = { id, parentId: parent.id, name, kind, inoLo, inoHi };
    this.#young.byId.set(id, record);
    this.#young.byPlace.set(place, record);
  }

  /** The id that the same object had at the same place; it is not remembered any more. */
  take(node: Node, parent: Node, name: ByteName): NodeId | undefined {
    const record = this.#take(placeOf(parent.id, name));
    if (record === undefined) return undefined;
    const same = record.kind === node.kind && record.inoLo === node.inoLo && record.inoHi === node.inoHi;
    return same ? record.id : undefined;
  }

  clear(): void {
    this.#young = new Generation();
    this.#old = new Generation();
  }

  #take(place: string): ForgottenNode | undefined {
    return this.#young.take(place) ?? this.#old.take(place);
  }
}

function placeOf(parentId: NodeId, name: ByteName): string {
  return `${parentId}/${name}`;
}
