/** The parts of the journal, and of the restoring of its records, that the table of nodes calls. */
import type { ByteName, NodeId } from "@sluice/vfs";
import type { ForgottenNode } from "./forgotten-nodes.js";
import type { Dentry, Node, NodeAlias } from "./node.js";

/** The part of the journal that the table calls: each change is written before the kernel is told of it. */
export interface NodeJournal {
  readonly records: { reserveIds(next: NodeId): NodeId };
  entered(node: Node): void;
  lookupsChanged(of: Node | NodeAlias): void;
  gone(of: Node | NodeAlias): void;
  attached(node: Node, at: Dentry): void;
  detached(node: Node, at: Dentry): void;
  renamed(node: Node, from: Dentry, to: Dentry): void;
  nameless(node: Node): void;
  linked(node: Node, ino: number): void;
  lowerLinked(node: Node, key: string | undefined): void;
  parted(node: Node, key: string): void;
  aliased(alias: NodeAlias): void;
  renumbered(node: Node): void;
}

/** Nodes that have a record and no object: they are restored when somebody asks for them. See restore/lazy-restore.ts. */
export interface RestorableNodes {
  readonly size: number;
  /** The names of its files. All its directories are restored on the way. */
  names(): IterableIterator<Dentry>;
  restoreId(id: NodeId): boolean;
  restoreChild(parent: Node, name: ByteName): Node | undefined;
  restoreLinked(ino: number): Node | undefined;
  restoreLowerLinked(key: string): void;
  remembered(): IterableIterator<ForgottenNode>;
  showsAt(directory: Node, path: readonly ByteName[], node: Node): boolean;
  forget(id: NodeId, count: number): void;
}
