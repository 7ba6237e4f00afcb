/** The records of nodes that have no object. */
import { type NodeRecords, RecordKind } from "@sluice/journal";
import type { ByteName, NodeId } from "@sluice/vfs";
import type { ForgottenName } from "../node/forgotten-names.js";
import { type ForgottenNode, MAX_NAMES } from "../node/forgotten-nodes.js";
import type { Node } from "../node/node.js";

export class PendingRecords {
  readonly #records: NodeRecords;
  readonly #nodes: { isLive(id: NodeId): boolean };

  constructor(records: NodeRecords, nodes: { isLive(id: NodeId): boolean }) {
    this.#records = records;
    this.#nodes = nodes;
  }

  /** It has the record of a node, or of an alias, and no object. */
  readonly has = (slot: number): boolean => {
    const kind = this.#records.kindOf(slot);
    return (kind === RecordKind.node || kind === RecordKind.alias) && !this.#nodes.isLive(this.#records.idOf(slot));
  };

  /** The slot of an id, or 0. */
  byId(id: NodeId): number {
    const slot = this.#records.byId(id);
    return slot !== 0 && !this.#nodes.isLive(id) ? slot : 0;
  }

  byName(parent: Node, name: ByteName): number {
    return this.#records.byName(parent.slot, name, this.has);
  }

  /** Whatever somebody may have a handle of. */
  *remembered(): IterableIterator<ForgottenNode> {
    const records = this.#records;
    for (let slot = 1; slot < records.mark; slot++) {
      const record = records.kindOf(slot) === RecordKind.node && this.has(slot) ? this.rememberedOf(slot) : undefined;
      if (record !== undefined) yield record;
    }
  }

  /** Undefined if the node has no name. */
  rememberedOf(slot: number): ForgottenNode | undefined {
    const records = this.#records;
    if (!records.isSound(slot) || records.firstName(slot) === 0) return undefined;
    const names: ForgottenName[] = [];
    for (let ref = records.firstName(slot); ref !== 0 && names.length < MAX_NAMES; ref = records.nextName(ref)) {
      names.push({ parentId: records.idOf(records.parentOf(ref)), name: records.nameText(ref) });
    }
    return { id: records.idOf(slot), kind: records.modeOf(slot), inoLo: records.inoLo(slot), inoHi: records.inoHi(slot), names };
  }

  /** Does the object at a path below a directory, of which the first name is pending, have the inode number of `node`, which is another? */
  showsAt(directory: Node, path: readonly ByteName[], node: Node): boolean {
    const records = this.#records;
    let at = directory.slot;
    for (const name of path) {
      at = records.byName(at, name, this.has);
      if (at === 0) return false;
    }
    return records.idOf(at) !== node.id && records.inoLo(at) === node.inoLo && records.inoHi(at) === node.inoHi;
  }
}
