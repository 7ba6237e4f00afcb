/** A node with the one lookup count that we owe for it, returned when it has no users any more. */
import { type Filesystem, type NodeId, ROOT_ID } from "@sluice/vfs";

export class HeldNode {
  #users = 1;

  /** Takes over one lookup count of `nodeId`, and has one user: its creator. The root's count belongs to nobody. */
  constructor(
    readonly nodeId: NodeId,
    readonly filesystem: Filesystem,
  ) {}

  use(): this {
    this.#users++;
    return this;
  }

  letGo(): void {
    this.#users--;
    if (this.#users === 0 && this.nodeId !== ROOT_ID) this.filesystem.forget(this.nodeId, 1);
  }
}
