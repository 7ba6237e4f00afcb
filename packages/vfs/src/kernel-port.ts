/** A filesystem's requests to the kernel, through its engine. */
import type { ByteName, NodeId } from "./filesystem.js";

/** Bytes from the start of a file: a number while it is a safe integer, else a bigint. */
export type FileOffset = number | bigint;

/** The agreement with the kernel; a filesystem reads it in `Filesystem` calls only (never before the handshake). */
export interface Negotiated {
  readonly protocol: { major: number; minor: number };
  /** 0: no passthrough (not offered, not requested, or removed); else max_stack_depth. */
  readonly maxStackDepth: number;
  readonly maxWriteBytes: number;
  readonly posixAcl: boolean;
  /** The kernel leaves clearing of suid and sgid to us (HANDLE_KILLPRIV_V2). */
  readonly killprivV2: boolean;
  readonly posixLocks: boolean;
  readonly flockLocks: boolean;
  readonly flags: readonly string[];
}

/** Backing files: the only way to passthrough. It sits behind one narrow interface so that a keeper can own it. */
export interface BackingRegistrar {
  /**
   * Registers an open descriptor of a regular file (never O_PATH) with the kernel, suid-safe.
   * `readOnly`: its layer and the mount of that are read-only for good, so nobody will write by it.
   * @returns an id > 0, or the negative errno (-ELOOP: stacked too deep; -EPERM: no privilege or not agreed).
   */
  openBacking(fd: number, readOnly?: boolean): number;
  /** Opens that already use the id continue. */
  closeBacking(backingId: number): void;
}

/**
 * Access to objects of this process's user that are closed to that user by their own mode. The user could open each after a chmod, which a lower
 * layer never gets. Every method gives a descriptor, or the negative errno.
 */
export interface OwnerAccess {
  /** Finds one name in a directory of the user. The descriptor is of the path alone (O_PATH). */
  search(dirFd: number, name: ByteName): number;
  /** Opens a directory of the user, or a regular file of the user in a lower layer, for reading. `fd` may be O_PATH. */
  read(fd: number): number;
}

export interface KernelPort extends BackingRegistrar {
  readonly negotiated: Negotiated;
  /**
   * Node aliases can separate opens of one file: the kernel drops pages when told to, and looks a name up again if an open is
   * answered ESTALE.
   */
  readonly separatesOpens: boolean;
  /** Drops cached attributes (length < 0 or offset < 0: attributes only) or pages. Never waits. */
  invalidateInode(node: NodeId, offset: number, length: number): void;
  /**
   * Makes the kernel write the dirty pages of an inode back to us, and drop all its pages; pages that wait for a READ are
   * dropped after its answer. Resolves to true when that is done, to false if it takes longer than a bounded time. Never
   * wait for it in an answer that the kernel awaits with a locked page.
   */
  dropPages(node: NodeId): Promise<boolean>;
  /**
   * Drops cached attributes at once. Only for a node of the request that is being answered: the kernel holds that node, so it
   * cannot make us wait.
   */
  dropAttributes(node: NodeId): void;
  /** Drops a cached name. `expireOnly` keeps it until its next use. */
  invalidateEntry(parent: NodeId, name: ByteName, expireOnly: boolean): void;
  /** Reports a deletion, so that watchers hear of it. */
  notifyDelete(parent: NodeId, child: NodeId, name: ByteName): void;
}
