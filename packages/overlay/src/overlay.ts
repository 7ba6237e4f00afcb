/** The overlay as a `Filesystem`: every method hands on to the operation of its name. Nothing is decided here. */
import type {
  AttrOut,
  CallContext,
  CopyRangeArgs,
  CreateArgs,
  DataOut,
  DirectoryOut,
  EntryOut,
  FallocateArgs,
  FileHandle,
  FileOffset,
  Filesystem,
  IoArgs,
  IoctlArgs,
  LockArgs,
  NodeArgs,
  NodeId,
  OpenOut,
  ReaddirArgs,
  ReleaseArgs,
  RenameArgs,
  SetAttr,
  StatfsOut,
  Status,
  WriteArgs,
  XattrSetArgs,
} from "@sluice/vfs";
import type { OverlayStatus } from "./contract/config.js";
import type { OverlayContext } from "./overlay-context.js";
import type { Access, Intent } from "./contract/gate.js";
import { createFile, createNameless } from "./open/create-file.js";
import { readData, syncFile, writeData } from "./io/data.js";
import { type Explained, explainOpen } from "./open/explain-open.js";
import { openFile } from "./open/open-file.js";
import { persistRuling } from "./open/execute-plan.js";
import { followReroute } from "./open/observed-ids.js";
import { type OpenReview, reviewClosed, reviewOpen } from "./open/review-open.js";
import { closeFile, releaseFile } from "./io/release-file.js";
import { type Passing, passingOf, withhold } from "./io/withhold-open.js";
import { closeFd } from "./layer/system-calls.js";
import { dropSharedWhiteout } from "./marks/shared-whiteout.js";
import { saveHandles } from "./restore/persisted-handles.js";
import { flushFile, getLock, setLock } from "./locks/lock-file.js";
import { fsyncdir, opendir, readdir, releasedir } from "./operations/directories.js";
import { dropHiddenNames } from "./operations/drop-hidden-names.js";
import { copyFileRange, fallocate, lseek } from "./operations/file-space.js";
import { getattr } from "./operations/getattr.js";
import { ioctl } from "./operations/ioctl.js";
import { link } from "./operations/link.js";
import { lookup } from "./operations/lookup.js";
import { type At, mkdir, mknod, symlink } from "./operations/make.js";
import { readlink } from "./operations/readlink.js";
import { rmdir, unlink } from "./operations/remove.js";
import { rename } from "./operations/rename.js";
import { type NextUpper, restack, type Restacked } from "./restack.js";
import { setattr } from "./operations/setattr.js";
import { statfs, syncfs } from "./operations/whole-filesystem.js";
import { getxattr, listxattr, removexattr, setxattr } from "./operations/xattr.js";
import { overlayStatus } from "./status.js";

export class Overlay implements Filesystem {
  readonly #core: OverlayContext;

  constructor(core: OverlayContext) {
    this.#core = core;
  }

  status(): OverlayStatus {
    return overlayStatus(this.#core);
  }

  /** Descriptors of the layers, the upper one first, data-only ones last. They stay the overlay's. Empty after `destroy`. */
  layerRoots(): number[] {
    return [...this.#core.layers, ...this.#core.dataLayers].map(({ root }) => root.fd).filter((fd) => fd >= 0);
  }

  /** Of the lower layers, the topmost first, for people. */
  lowerPaths(): string[] {
    return this.#core.layers.filter(({ writable }) => !writable).map(({ spec }) => spec.path);
  }

  /** Puts an empty upper layer on top. No request is under way, and none comes meanwhile. See restack.ts. */
  restack(open: () => NextUpper): Promise<Restacked> {
    return restack(this.#core, open);
  }

  /** Reviews an open file as it is now; undefined if it is closed. */
  review(handle: FileHandle): OpenReview | undefined {
    return reviewOpen(this.#core, handle);
  }
  /** Describes a file that was opened by this nodeId and closed, as if it were opened now; undefined if the kernel has forgotten it. */
  reviewClosed(nodeId: NodeId, accesses: readonly Access[]): Intent | undefined {
    return reviewClosed(this.#core, nodeId, accesses);
  }
  /** The gate holds an open file to another ruling from now on: so does a server that takes over. */
  ruledAgain(handle: FileHandle): void {
    const file = this.#core.handles.file(handle);
    if (file !== undefined) persistRuling(this.#core, file);
  }
  /** Refuses every further transfer with `errno`; undefined lets them go on. Resolves once pages that can be dropped are. */
  withhold(handle: FileHandle, errno: number | undefined): Promise<void> {
    return withhold(this.#core, handle, errno);
  }
  /** How a withheld open still reaches the file; undefined: it does not. */
  passing(handle: FileHandle): Passing | undefined {
    return passingOf(this.#core, handle);
  }

  /** The gate hides other names than before: the kernel drops what it cached of them. */
  dropHiddenNames(): Promise<void> {
    const dropped = dropHiddenNames(this.#core);
    // It looks at every node in turn, and must miss none whose object goes meanwhile.
    this.#core.calls.until(dropped, 0);
    return dropped;
  }

  /** The nodes that a call on a node or a name uses stay while it waits. A call on an open file keeps its node by that. */
  #counted(status: Status): Status {
    return this.#core.calls.count(status);
  }

  /** Explains an open of a path without opening it. Gives the result of `use`, or the errno. */
  explain<Result>(what: { names: readonly string[]; accesses: Access[] }, use: (explained: Explained) => Result): Result | number {
    return explainOpen(this.#core, what, use);
  }

  lookup(call: CallContext, parent: NodeId, name: string, out: EntryOut): Status {
    const status = lookup(this.#core, parent, name, out);
    return this.#core.reroutes.size === 0 ? status : this.#counted(followReroute(this.#core, call, status, out));
  }
  forget(node: NodeId, count: number): void {
    this.#core.nodes.forget(node, count);
  }
  getattr(_call: CallContext, node: NodeId, _handle: FileHandle | undefined, out: AttrOut): Status {
    return getattr(this.#core, node, out);
  }
  setattr(call: CallContext, node: NodeId, set: SetAttr, out: AttrOut): Status {
    return this.#counted(setattr(this.#core, call, { id: node, set }, out));
  }
  readlink(_call: CallContext, node: NodeId, out: DataOut): Status {
    return readlink(this.#core, node, out);
  }
  mknod(call: CallContext, at: At, args: NodeArgs, out: EntryOut): Status {
    return this.#counted(mknod(this.#core, call, { at, args }, out));
  }
  mkdir(call: CallContext, at: At, args: NodeArgs, out: EntryOut): Status {
    return this.#counted(mkdir(this.#core, call, { at, args }, out));
  }
  symlink(call: CallContext, at: At, target: string, out: EntryOut): Status {
    return this.#counted(symlink(this.#core, call, { at, target }, out));
  }
  link(call: CallContext, node: NodeId, at: At, out: EntryOut): Status {
    return this.#counted(link(this.#core, call, { node, at }, out));
  }
  unlink(call: CallContext, parent: NodeId, name: string): Status {
    return this.#counted(unlink(this.#core, call, parent, name));
  }
  rmdir(call: CallContext, parent: NodeId, name: string): Status {
    return this.#counted(rmdir(this.#core, call, parent, name));
  }
  rename(call: CallContext, args: RenameArgs): Status {
    return this.#counted(rename(this.#core, call, args));
  }
  open(call: CallContext, node: NodeId, flags: number, out: OpenOut): Status {
    return this.#counted(openFile(this.#core, call, { nodeId: node, flags }, out));
  }
  create(call: CallContext, at: At, args: CreateArgs, out: { entry: EntryOut; open: OpenOut }): Status {
    return this.#counted(createFile(this.#core, call, { at, args }, out));
  }
  tmpfile(call: CallContext, parent: NodeId, args: CreateArgs, out: { entry: EntryOut; open: OpenOut }): Status {
    return this.#counted(createNameless(this.#core, call, { parent, args }, out));
  }
  read(call: CallContext, _node: NodeId, args: IoArgs, out: DataOut): Status {
    return readData(this.#core, call, args, out);
  }
  write(call: CallContext, _node: NodeId, args: WriteArgs, out: { length: number }): Status {
    return writeData(this.#core, call, args, out);
  }
  flush(_call: CallContext, _node: NodeId, args: ReleaseArgs): Status {
    return flushFile(this.#core, args);
  }
  getlk(_call: CallContext, _node: NodeId, args: LockArgs): Status {
    return getLock(this.#core, args);
  }
  setlk(call: CallContext, _node: NodeId, args: LockArgs): Status {
    return setLock(this.#core, call, args);
  }
  release(_call: CallContext, _node: NodeId, args: ReleaseArgs): Status {
    return releaseFile(this.#core, args.handle);
  }
  fsync(_call: CallContext, _node: NodeId, handle: FileHandle, dataOnly: boolean): Status {
    return syncFile(this.#core, handle, dataOnly);
  }
  fallocate(call: CallContext, _node: NodeId, args: FallocateArgs): Status {
    return fallocate(this.#core, call, args);
  }
  lseek(
    _call: CallContext,
    _node: NodeId,
    args: { handle: FileHandle; offset: FileOffset; whence: number },
    out: { offset: FileOffset },
  ): Status {
    return lseek(this.#core, args, out);
  }
  copyFileRange(call: CallContext, _node: NodeId, args: CopyRangeArgs, out: { length: number }): Status {
    return copyFileRange(this.#core, call, args, out);
  }
  opendir(call: CallContext, node: NodeId, _flags: number, out: OpenOut): Status {
    return opendir(this.#core, call, node, out);
  }
  readdir(call: CallContext, _node: NodeId, args: ReaddirArgs, out: DirectoryOut): Status {
    return this.#counted(readdir(this.#core, call, args, out));
  }
  releasedir(_call: CallContext, _node: NodeId, handle: FileHandle): Status {
    return releasedir(this.#core, handle);
  }
  fsyncdir(_call: CallContext, node: NodeId, _handle: FileHandle, _dataOnly: boolean): Status {
    return fsyncdir(this.#core, node);
  }
  getxattr(_call: CallContext, node: NodeId, args: { name: string; size: number }, out: DataOut): Status {
    return getxattr(this.#core, node, args, out);
  }
  setxattr(call: CallContext, node: NodeId, args: XattrSetArgs): Status {
    return this.#counted(setxattr(this.#core, call, { id: node, args }));
  }
  listxattr(call: CallContext, node: NodeId, size: number, out: DataOut): Status {
    return listxattr(this.#core, call, { id: node, size }, out);
  }
  removexattr(call: CallContext, node: NodeId, name: string): Status {
    return this.#counted(removexattr(this.#core, call, { id: node, name }));
  }
  statfs(_call: CallContext, _node: NodeId, out: StatfsOut): Status {
    return statfs(this.#core, out);
  }
  syncfs(_call: CallContext, _node: NodeId): Status {
    return syncfs(this.#core);
  }
  ioctl(call: CallContext, node: NodeId, args: IoctlArgs, out: DataOut): Status {
    return this.#counted(ioctl(this.#core, call, { id: node, args }, out));
  }
  async destroy(): Promise<void> {
    await destroy(this.#core);
    await this.#core.closes.idle();
  }
}

/**
 * Gives every descriptor back. The lower layers come first: the work on the upper one takes the longer the more names are known or were
 * removed, and gives way to other mounts of the process.
 */
async function destroy(core: OverlayContext): Promise<void> {
  for (const file of core.handles.allFiles()) closeFile(core, file);
  core.handles.closeDirectories();
  core.backings.clear({ atOnce: false });
  core.nodes.closeNameless();
  core.fds.closeAll();
  for (const layer of [...core.layers, ...core.dataLayers]) if (!layer.writable) layer.close();
  await closeUpper(core);
  core.nodes.clear();
}

async function closeUpper(core: OverlayContext): Promise<void> {
  await core.purges.ended();
  // A volatile upper layer is not mounted again.
  if (core.scratch !== undefined && !core.config.volatile) await saveHandles(core.nodes, core.scratch);
  dropSharedWhiteout(core);
  if (core.scratch !== undefined) closeFd(core.scratch.fd);
  if (core.linkIndex !== undefined) closeFd(core.linkIndex.fd);
  if (core.config.errorWitness !== undefined) closeFd(core.config.errorWitness);
  core.upper?.close();
}
