/**
 * Nodes that the kernel forgot, by the ids it knew them by. A file handle (name_to_handle_at(2), NFS) is a nodeId: to open it
 * after the kernel dropped its caches, the node has to be found again, and to get the same id. What is renamed or removed is
 * known at that time, so a record here is never stale, but for what happens below the mount. The oldest go when there are
 * too many: their handles are stale.
 */
import type { ByteName, NodeId } from "@sluice/vfs";
import type { Node } from "./node.js";

const MAX_RECORDS = 65_536;

export interface ForgottenNode {
  id: NodeId;
  parentId: NodeId;
  name: ByteName;
  kind: number;
  inoLo: number;
  inoHi: number;
}

export class ForgottenNodes {
  /** In the order in which they were forgotten. */
  readonly #byId = new Map<NodeId, ForgottenNode>();
  readonly #byPlace = new Map<string, ForgottenNode>();

  get(id: NodeId): ForgottenNode | undefined {
    return this.#byId.get(id);
  }

  remember(node: Node, parent: Node): void {
    const { id, name, kind, inoLo, inoHi } = node;
    const record = { id, parentId: parent.id, name, kind, inoLo, inoHi };
    const before = this.#byPlace.get(placeOf(parent.id, name));
    if (before !== undefined) this.#byId.delete(before.id);
    this.#byId.set(id, record);
    this.#byPlace.set(placeOf(parent.id, name), record);
    if (this.#byId.size > MAX_RECORDS) this.#dropOldest();
  }

  /** The id that the same object had at the same place; it is not remembered any more. */
  take(node: Node, parent: Node, name: ByteName): NodeId | undefined {
    const record = this.#byPlace.get(placeOf(parent.id, name));
    if (record === undefined) return undefined;
    this.#byPlace.delete(placeOf(parent.id, name));
    this.#byId.delete(record.id);
    const same = record.kind === node.kind && record.inoLo === node.inoLo && record.inoHi === node.inoHi;
    return same ? record.id : undefined;
  }

  clear(): void {
    this.#byId.clear();
    this.#byPlace.clear();
  }

  #dropOldest(): void {
    for (const [id, { parentId, name }] of this.#byId) {
      this.#byId.delete(id);
      this.#byPlace.delete(placeOf(parentId, name));
      return;
    }
  }
}

function placeOf(parentId: NodeId, name: ByteName): string {
  return `${parentId}/${name}`;
}
