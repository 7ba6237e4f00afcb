/** A Filesystem for the engine's tests: mirrors one directory, by paths. Names that start with "wait" open when `release` is called; "wait-on" also if its caller is gone. */
import { native } from "@sluice/native";
import {
  AT,
  Attr,
  type AttrOut,
  type CallContext,
  type DataOut,
  type DirectoryOut,
  type EntryOut,
  Errno,
  type Filesystem,
  FsError,
  type KernelPort,
  O,
  type OpenOut,
  ROOT_ID,
  type Status,
} from "@sluice/vfs";
import { readdirSync } from "node:fs";

interface Node {
  path: string;
  lookups: number;
}
interface Handle {
  fd: number;
  backingId: number;
  names: string[];
}

function check(result: number, path: string): number {
  if (result < 0) throw new FsError(-result, `cannot work on ${path}`);
  return result;
}

export class MirrorFilesystem {
  readonly nodes = new Map<number, Node>();
  readonly handles = new Map<number, Handle>();
  readonly interrupted: string[] = [];
  destroyed = 0;
  ttlMs = 1000;
  /** It finds names in other letters, as FAT does. */
  foldsCase = false;
  mode: OpenOut["mode"] = "cached";
  /** The answer to an open in passthrough. A test replaces it, as a confused server might. */
  register = (fd: number, _path: string): number => this.port.openBacking(fd);
  #byPath = new Map<string, number>();
  #nextNode = 2;
  #nextHandle = 1;
  #waiting: (() => void)[] = [];

  constructor(
    root: string,
    readonly port: KernelPort,
  ) {
    this.nodes.set(ROOT_ID, { path: root, lookups: 1 });
    this.#byPath.set(root, ROOT_ID);
  }

  /** Releases every open that waits. */
  release(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  /** The operations of this mirror; all others answer ENOSYS. */
  filesystem(): Filesystem {
    const own: Partial<Filesystem> = {
      lookup: (_, parent, name, out) => this.#entry(this.#child(parent, name), out),
      forget: (node, count) => this.#forget(node, count),
      getattr: (_, node, _handle, out) => this.#attr(this.#path(node), out),
      setattr: (_, node, set, out) => {
        const path = this.#path(node);
        if (set.mode !== undefined) check(native.fchmodat(AT.FDCWD, path, set.mode & 0o7777, 0), path);
        if (set.size !== undefined) this.#truncate(path, set.size);
        return this.#attr(path, out);
      },
      mkdir: (_, at, args, out) => {
        const path = this.#child(at.parent, at.name);
        check(native.mkdirat(AT.FDCWD, path, args.mode & ~args.umask & 0o7777), path);
        return this.#entry(path, out);
      },
      symlink: (_, at, target, out) => {
        const path = this.#child(at.parent, at.name);
        check(native.symlinkat(target, AT.FDCWD, path), path);
        return this.#entry(path, out);
      },
      readlink: (_, node, out) => {
        out.length = check(native.readlinkat(AT.FDCWD, this.#path(node), out.reserve(4096)), this.#path(node));
        return 0;
      },
      unlink: (_, parent, name) => -native.unlinkat(AT.FDCWD, this.#child(parent, name), 0),
      rmdir: (_, parent, name) => -native.unlinkat(AT.FDCWD, this.#child(parent, name), AT.REMOVEDIR),
      rename: (_, args) => this.#rename(this.#child(args.parent, args.name), this.#child(args.newParent, args.newName), args.flags),
      open: (call, node, flags, out) => this.#open(call, this.#path(node), flags, out),
      create: (_, at, args, out) => {
        const path = this.#child(at.parent, at.name);
        this.#openNow(path, args.flags | O.CREAT, out.open, args.mode & ~args.umask & 0o7777);
        return this.#entry(path, out.entry);
      },
      read: (_, _node, args, out) => this.#read(args.handle, args.offset, args.size, out),
      write: (_, _node, args, out) => {
        const range = { offset: 0, length: args.size, position: args.offset };
        return native.pwriteAsync(this.#handle(args.handle).fd, args.data, range, 0).then((count) => {
          out.length = check(count, "a file");
          return 0;
        });
      },
      flush: () => 0,
      release: (_, _node, args) => this.#close(args.handle),
      getlk: () => Errno.ENOSYS,
      setlk: () => Errno.ENOSYS,
      fsync: (_, _node, handle) => native.fsyncAsync(this.#handle(handle ?? 0).fd, false).then((result) => -result),
      opendir: (_, node, _flags, out) => {
        out.handle = this.#nextHandle++;
        out.keepCache = false;
        this.handles.set(out.handle, { fd: -1, backingId: 0, names: readdirSync(this.#path(node), { encoding: "latin1" }) });
        return 0;
      },
      readdir: (_, node, args, out) =>
        this.#list(node, this.#handle(args.handle).names, { from: Number(args.offset), plus: args.plus }, out),
      releasedir: (_, _node, handle) => this.#close(handle),
      getxattr: () => Errno.ENODATA,
      statfs: (_, _node, out) => {
        Object.assign(out, { blocks: 1000, bfree: 500, bavail: 400, files: 30, ffree: 20, bsize: 4096, namelen: 255, frsize: 4096 });
        return 0;
      },
      destroy: () => {
        this.destroyed += 1;
      },
    };
    return new Proxy(own, { get: (target, key) => Reflect.get(target, key) ?? ((): number => Errno.ENOSYS) }) as Filesystem;
  }

  #path(node: number): string {
    const found = this.nodes.get(node);
    if (found === undefined) throw new FsError(Errno.ESTALE, `node ${node} is not known`);
    return found.path;
  }

  #child(parent: number, name: string): string {
    const directory = this.#path(parent);
    const same = (listed: string): boolean => listed.toLowerCase() === name.toLowerCase();
    return `${directory}/${(this.foldsCase ? readdirSync(directory).find(same) : undefined) ?? name}`;
  }

  #handle(handle: number): Handle {
    const found = this.handles.get(handle);
    if (found === undefined) throw new FsError(Errno.EBADF, `handle ${handle} is not open`);
    return found;
  }

  #attr(path: string, out: AttrOut): Status {
    out.attrTtlMs = this.ttlMs;
    return -native.statx(AT.FDCWD, path, AT.SYMLINK_NOFOLLOW, out.attr.words);
  }

  #entry(path: string, out: EntryOut): Status {
    const status = -native.statx(AT.FDCWD, path, AT.SYMLINK_NOFOLLOW, out.attr.words);
    if (status !== 0) return status;
    out.nodeId = this.#byPath.get(path) ?? this.#nextNode++;
    out.generation = 1;
    out.entryTtlMs = this.ttlMs;
    out.attrTtlMs = this.ttlMs;
    const node = this.nodes.get(out.nodeId) ?? { path, lookups: 0 };
    node.lookups += 1;
    this.nodes.set(out.nodeId, node);
    this.#byPath.set(path, out.nodeId);
    return 0;
  }

  #forget(id: number, count: number): void {
    const node = this.nodes.get(id);
    if (node === undefined) return;
    node.lookups -= count;
    if (node.lookups > 0) return;
    this.nodes.delete(id);
    if (this.#byPath.get(node.path) === id) this.#byPath.delete(node.path);
  }

  #rename(from: string, to: string, flags: number): Status {
    const status = -native.renameat2(AT.FDCWD, from, AT.FDCWD, to, flags);
    const id = this.#byPath.get(from);
    if (status !== 0 || id === undefined) return status;
    this.#byPath.delete(from);
    this.#byPath.set(to, id);
    this.nodes.set(id, { path: to, lookups: this.nodes.get(id)?.lookups ?? 0 });
    return 0;
  }

  #truncate(path: string, size: number | bigint): void {
    const fd = check(native.openat(AT.FDCWD, path, O.WRONLY, 0), path);
    native.ftruncate(fd, size);
    native.close(fd);
  }

  #open(call: CallContext, path: string, flags: number, out: OpenOut): Status {
    if (!path.includes("/wait")) return this.#openNow(path, flags, out, 0);
    return new Promise((resolve, reject) => {
      call.signal.addEventListener("abort", () => {
        this.interrupted.push(path);
        if (!path.endsWith("-on")) reject(new DOMException("the caller was interrupted", "AbortError"));
      });
      this.#waiting.push(() => resolve(this.#openNow(path, flags, out, 0)));
    });
  }

  #openNow(path: string, flags: number, out: OpenOut, mode: number): number {
    const fd = check(native.openat(AT.FDCWD, path, flags & ~(O.EXEC | O.NOFOLLOW | O.APPEND | O.DIRECT), mode), path);
    const passthrough = this.mode === "passthrough" || this.mode === "passthrough-direct";
    out.handle = this.#nextHandle++;
    out.mode = this.mode;
    out.keepCache = false;
    out.backingId = passthrough ? check(this.register(fd, path), path) : 0;
    this.handles.set(out.handle, { fd, backingId: out.backingId, names: [] });
    return 0;
  }

  #close(id: number): Status {
    const handle = this.#handle(id);
    this.handles.delete(id);
    if (handle.backingId > 0) this.port.closeBacking(handle.backingId);
    return handle.fd < 0 ? 0 : -native.close(handle.fd);
  }

  #read(handle: number, offset: number | bigint, size: number, out: DataOut): Status {
    const { fd } = this.#handle(handle);
    const range = { offset: 0, length: size, position: offset };
    if (size <= 16_384) {
      out.length = check(native.pread(fd, out.reserve(size), range, 0), "a file");
      return 0;
    }
    return native.preadAsync(fd, out.reserve(size), range, 0).then((count) => {
      out.length = check(count, "a file");
      return 0;
    });
  }

  #list(node: number, names: string[], at: { from: number; plus: boolean }, out: DirectoryOut): Status {
    const attr = new Attr();
    for (const [i, name] of names.entries()) {
      const path = this.#child(node, name);
      if (i < at.from || native.statx(AT.FDCWD, path, AT.SYMLINK_NOFOLLOW, attr.words) < 0) continue;
      const entry = { name, inoLo: attr.ino % 2 ** 32, inoHi: Math.floor(attr.ino / 2 ** 32), type: attr.mode >>> 12, offset: i + 1 };
      if (!at.plus) {
        if (!out.add(entry)) break;
        continue;
      }
      if (!out.fitsPlus(name.length)) break;
      out.addPlus(entry, this.#entry(path, out.scratch) === 0 ? out.scratch : undefined);
    }
    return 0;
  }
}
