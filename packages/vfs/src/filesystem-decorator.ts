/**
 * A filesystem around another one: passes everything on, and lets a subclass change its part. It has the code that every
 * decorator would otherwise repeat: attributes return in six ways, each at once or with a promise.
 */
import type { Attr } from "./attr.js";
import type {
  AttrOut,
  ByteName,
  CallContext,
  CopyRangeArgs,
  CreateArgs,
  DataOut,
  EntryOut,
  FallocateArgs,
  FileHandle,
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
  Status,
  WriteArgs,
  XattrSetArgs,
} from "./filesystem.js";
import type { FileOffset } from "./kernel-port.js";
import type { DirectoryEntry, DirectoryOut, StatfsOut } from "./out.js";

interface At {
  parent: NodeId;
  name: ByteName;
}
interface Created {
  entry: EntryOut;
  open: OpenOut;
}

/** A listing whose attributes are changed on their way out. */
class ShownDirectory implements DirectoryOut {
  readonly #out: DirectoryOut;
  readonly #show: (attr: Attr) => void;

  constructor(out: DirectoryOut, show: (attr: Attr) => void) {
    this.#out = out;
    this.#show = show;
  }

  get scratch(): EntryOut {
    return this.#out.scratch;
  }
  add(entry: DirectoryEntry): boolean {
    return this.#out.add(entry);
  }
  fitsPlus(nameBytes: number): boolean {
    return this.#out.fitsPlus(nameBytes);
  }
  addPlus(entry: DirectoryEntry, found: EntryOut | undefined): boolean {
    if (found !== undefined) this.#show(found.attr);
    return this.#out.addPlus(entry, found);
  }
}

export class FilesystemDecorator implements Filesystem {
  protected readonly inner: Filesystem;
  readonly #show = (attr: Attr): void => this.showAttr(attr);

  constructor(inner: Filesystem) {
    this.inner = inner;
  }

  /** Changes the attributes for the kernel, in place. */
  protected showAttr(_attr: Attr): void {
    // Unchanged by default.
  }

  /** Shows `attr` once the call it comes from has succeeded. */
  protected shown(status: Status, attr: Attr): Status {
    if (typeof status === "number") {
      if (status === 0) this.showAttr(attr);
      return status;
    }
    return status.then((resolved) => {
      if (resolved === 0) this.showAttr(attr);
      return resolved;
    });
  }

  lookup(call: CallContext, parent: NodeId, name: ByteName, out: EntryOut): Status {
    return this.shown(this.inner.lookup(call, parent, name, out), out.attr);
  }
  forget(node: NodeId, count: number): void {
    this.inner.forget(node, count);
  }
  getattr(call: CallContext, node: NodeId, handle: FileHandle | undefined, out: AttrOut): Status {
    return this.shown(this.inner.getattr(call, node, handle, out), out.attr);
  }
  setattr(call: CallContext, node: NodeId, set: SetAttr, out: AttrOut): Status {
    return this.shown(this.inner.setattr(call, node, set, out), out.attr);
  }
  readlink(call: CallContext, node: NodeId, out: DataOut): Status {
    return this.inner.readlink(call, node, out);
  }
  mknod(call: CallContext, at: At, args: NodeArgs, out: EntryOut): Status {
    return this.shown(this.inner.mknod(call, at, args, out), out.attr);
  }
  mkdir(call: CallContext, at: At, args: NodeArgs, out: EntryOut): Status {
    return this.shown(this.inner.mkdir(call, at, args, out), out.attr);
  }
  symlink(call: CallContext, at: At, target: ByteName, out: EntryOut): Status {
    return this.shown(this.inner.symlink(call, at, target, out), out.attr);
  }
  link(call: CallContext, node: NodeId, at: At, out: EntryOut): Status {
    return this.shown(this.inner.link(call, node, at, out), out.attr);
  }
  unlink(call: CallContext, parent: NodeId, name: ByteName): Status {
    return this.inner.unlink(call, parent, name);
  }
  rmdir(call: CallContext, parent: NodeId, name: ByteName): Status {
    return this.inner.rmdir(call, parent, name);
  }
  rename(call: CallContext, args: RenameArgs): Status {
    return this.inner.rename(call, args);
  }
  open(call: CallContext, node: NodeId, flags: number, out: OpenOut): Status {
    return this.inner.open(call, node, flags, out);
  }
  create(call: CallContext, at: At, args: CreateArgs, out: Created): Status {
    return this.shown(this.inner.create(call, at, args, out), out.entry.attr);
  }
  tmpfile(call: CallContext, parent: NodeId, args: CreateArgs, out: Created): Status {
    return this.shown(this.inner.tmpfile(call, parent, args, out), out.entry.attr);
  }
  read(call: CallContext, node: NodeId, args: IoArgs, out: DataOut): Status {
    return this.inner.read(call, node, args, out);
  }
  write(call: CallContext, node: NodeId, args: WriteArgs, out: { length: number }): Status {
    return this.inner.write(call, node, args, out);
  }
  flush(call: CallContext, node: NodeId, args: ReleaseArgs): Status {
    return this.inner.flush(call, node, args);
  }
  release(call: CallContext, node: NodeId, args: ReleaseArgs): Status {
    return this.inner.release(call, node, args);
  }
  getlk(call: CallContext, node: NodeId, args: LockArgs): Status {
    return this.inner.getlk(call, node, args);
  }
  setlk(call: CallContext, node: NodeId, args: LockArgs): Status {
    return this.inner.setlk(call, node, args);
  }
  fsync(call: CallContext, node: NodeId, handle: FileHandle, dataOnly: boolean): Status {
    return this.inner.fsync(call, node, handle, dataOnly);
  }
  fallocate(call: CallContext, node: NodeId, args: FallocateArgs): Status {
    return this.inner.fallocate(call, node, args);
  }
  lseek(
    call: CallContext,
    node: NodeId,
    args: { handle: FileHandle; offset: FileOffset; whence: number },
    out: { offset: FileOffset },
  ): Status {
    return this.inner.lseek(call, node, args, out);
  }
  copyFileRange(call: CallContext, node: NodeId, args: CopyRangeArgs, out: { length: number }): Status {
    return this.inner.copyFileRange(call, node, args, out);
  }
  opendir(call: CallContext, node: NodeId, flags: number, out: OpenOut): Status {
    return this.inner.opendir(call, node, flags, out);
  }
  readdir(call: CallContext, node: NodeId, args: ReaddirArgs, out: DirectoryOut): Status {
    return this.inner.readdir(call, node, args, args.plus ? new ShownDirectory(out, this.#show) : out);
  }
  releasedir(call: CallContext, node: NodeId, handle: FileHandle): Status {
    return this.inner.releasedir(call, node, handle);
  }
  fsyncdir(call: CallContext, node: NodeId, handle: FileHandle, dataOnly: boolean): Status {
    return this.inner.fsyncdir(call, node, handle, dataOnly);
  }
  getxattr(call: CallContext, node: NodeId, args: { name: string; size: number }, out: DataOut): Status {
    return this.inner.getxattr(call, node, args, out);
  }
  setxattr(call: CallContext, node: NodeId, args: XattrSetArgs): Status {
    return this.inner.setxattr(call, node, args);
  }
  listxattr(call: CallContext, node: NodeId, size: number, out: DataOut): Status {
    return this.inner.listxattr(call, node, size, out);
  }
  removexattr(call: CallContext, node: NodeId, name: string): Status {
    return this.inner.removexattr(call, node, name);
  }
  statfs(call: CallContext, node: NodeId, out: StatfsOut): Status {
    return this.inner.statfs(call, node, out);
  }
  syncfs(call: CallContext, node: NodeId): Status {
    return this.inner.syncfs(call, node);
  }
  ioctl(call: CallContext, node: NodeId, args: IoctlArgs, out: DataOut): Status {
    return this.inner.ioctl(call, node, args, out);
  }
  destroy(): void | Promise<void> {
    return this.inner.destroy();
  }
}
