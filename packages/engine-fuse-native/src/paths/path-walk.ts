/** From a path to a node, one `Filesystem.lookup` a component, each balanced by a forget. */
import { type ByteName, type CallContext, type EntryOut, Errno, type Filesystem, ROOT_ID, S } from "@sluice/vfs";
import { DirectoryCache } from "./directory-cache.js";
import { HeldNode } from "./held-node.js";
import { HiddenNames } from "./hidden-names.js";
import { bytesOf, splitPath } from "./names.js";

const CACHED_DIRECTORIES = 1024;

/** A name in a directory that is held until `parent.letGo()`. */
export interface LocatedName {
  parent: HeldNode;
  name: ByteName;
}

export class PathWalk {
  readonly directories = new DirectoryCache(CACHED_DIRECTORIES);
  readonly hidden = new HiddenNames();
  readonly #root: HeldNode;

  constructor(readonly filesystem: Filesystem) {
    this.#root = new HeldNode(ROOT_ID, filesystem);
  }

  /**
   * The node, which the caller releases, or a positive errno. `entry` is scratch; it has the attributes afterwards, except for the
   * root.
   */
  async node(call: CallContext, path: string, entry: EntryOut): Promise<HeldNode | number> {
    const hidden = this.hidden.get(path);
    if (hidden !== undefined) return hidden.use();
    if (path === "/") return this.#root.use();
    const cached = this.directories.get(path);
    if (cached !== undefined) return cached;
    return this.fresh(call, path, entry);
  }

  /** As `node`, but looked up now, so that `entry` has the current attributes. */
  async fresh(call: CallContext, path: string, entry: EntryOut): Promise<HeldNode | number> {
    const located = await this.locate(call, path, entry);
    if (typeof located === "number") return located;
    const found = await this.child(call, located, entry);
    located.parent.letGo();
    if (typeof found === "number") return found;
    if ((entry.attr.mode & S.IFMT) === S.IFDIR) this.directories.set(path, found);
    return found;
  }

  /** The directory and name of `path`; the name need not exist. */
  async locate(call: CallContext, path: string, entry: EntryOut): Promise<LocatedName | number> {
    const split = splitPath(path);
    const name = bytesOf(split.name);
    if (name === undefined) return Errno.EILSEQ;
    const parent = await this.#directory(call, split.parent, entry);
    return typeof parent === "number" ? parent : { parent, name };
  }

  /** The child by its name, counted once. */
  async child(call: CallContext, located: LocatedName, entry: EntryOut): Promise<HeldNode | number> {
    const status = this.filesystem.lookup(call, located.parent.nodeId, located.name, entry);
    const errno = typeof status === "number" ? status : await status;
    if (errno !== 0) return errno;
    return entry.nodeId === 0 ? Errno.ENOENT : new HeldNode(entry.nodeId, this.filesystem);
  }

  /** The names at and below both paths have changed. */
  moved(from: string, to: string): void {
    this.directories.invalidate(from);
    this.directories.invalidate(to);
    this.hidden.moved(from, to);
  }

  removed(path: string): void {
    this.directories.invalidate(path);
  }

  end(): void {
    this.directories.clear();
    this.hidden.clear();
  }

  /** Recursive from the nearest known directory. */
  async #directory(call: CallContext, path: string, entry: EntryOut): Promise<HeldNode | number> {
    if (path === "/") return this.#root.use();
    return this.directories.get(path) ?? this.fresh(call, path, entry);
  }
}
