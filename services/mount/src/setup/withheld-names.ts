/**
 * A filesystem before the mount knows its first policy. Which names are hidden is not known then, so calls by name wait until the policy
 * comes, and fail with EAGAIN if it does not come in time. Afterwards every call is handed on.
 *
 * Reads, writes and locks of open files go on meanwhile. The engine uses its argument objects again, so calls that wait copy them.
 */
import { Errno, type Filesystem, FilesystemDecorator, ROOT_ID, type Status } from "@sluice/vfs";

type Arguments<Name extends keyof Filesystem> = Filesystem[Name] extends (...args: infer Args) => unknown ? Args : never;

export class WithheldNames extends FilesystemDecorator {
  readonly #isUnknown: () => boolean;
  readonly #firstPolicy: Promise<unknown>;
  #known = false;
  #waited = false;

  /** `firstPolicy` resolves when the policy is known, or when the wait for it is over. */
  constructor(inner: Filesystem, isUnknown: () => boolean, firstPolicy: Promise<unknown>) {
    super(inner);
    this.#isUnknown = isUnknown;
    this.#firstPolicy = firstPolicy;
    void firstPolicy.then(() => {
      this.#waited = true;
    });
  }

  #later(act: () => Status): Status {
    this.#known = !this.#isUnknown();
    if (this.#known) return act();
    if (this.#waited) return Errno.EAGAIN;
    return this.#firstPolicy.then(() => (this.#isUnknown() ? Errno.EAGAIN : act()));
  }

  override lookup(...[call, parent, name, out]: Arguments<"lookup">): Status {
    return this.#known ? super.lookup(call, parent, name, out) : this.#later(() => super.lookup(call, parent, name, out));
  }
  override getattr(...[call, node, handle, out]: Arguments<"getattr">): Status {
    if (this.#known || node === ROOT_ID) return super.getattr(call, node, handle, out);
    return this.#later(() => super.getattr(call, node, handle, out));
  }
  override setattr(...[call, node, set, out]: Arguments<"setattr">): Status {
    if (this.#known) return super.setattr(call, node, set, out);
    const copy = { ...set };
    return this.#later(() => super.setattr(call, node, copy, out));
  }
  override readlink(...[call, node, out]: Arguments<"readlink">): Status {
    return this.#known ? super.readlink(call, node, out) : this.#later(() => super.readlink(call, node, out));
  }
  override mknod(...[call, at, args, out]: Arguments<"mknod">): Status {
    if (this.#known) return super.mknod(call, at, args, out);
    const copy = { at: { ...at }, args: { ...args } };
    return this.#later(() => super.mknod(call, copy.at, copy.args, out));
  }
  override mkdir(...[call, at, args, out]: Arguments<"mkdir">): Status {
    if (this.#known) return super.mkdir(call, at, args, out);
    const copy = { at: { ...at }, args: { ...args } };
    return this.#later(() => super.mkdir(call, copy.at, copy.args, out));
  }
  override symlink(...[call, at, target, out]: Arguments<"symlink">): Status {
    if (this.#known) return super.symlink(call, at, target, out);
    const copy = { ...at };
    return this.#later(() => super.symlink(call, copy, target, out));
  }
  override link(...[call, node, at, out]: Arguments<"link">): Status {
    if (this.#known) return super.link(call, node, at, out);
    const copy = { ...at };
    return this.#later(() => super.link(call, node, copy, out));
  }
  override unlink(...[call, parent, name]: Arguments<"unlink">): Status {
    return this.#known ? super.unlink(call, parent, name) : this.#later(() => super.unlink(call, parent, name));
  }
  override rmdir(...[call, parent, name]: Arguments<"rmdir">): Status {
    return this.#known ? super.rmdir(call, parent, name) : this.#later(() => super.rmdir(call, parent, name));
  }
  override rename(...[call, args]: Arguments<"rename">): Status {
    if (this.#known) return super.rename(call, args);
    const copy = { ...args };
    return this.#later(() => super.rename(call, copy));
  }
  override open(...[call, node, flags, out]: Arguments<"open">): Status {
    return this.#known ? super.open(call, node, flags, out) : this.#later(() => super.open(call, node, flags, out));
  }
  override create(...[call, at, args, out]: Arguments<"create">): Status {
    if (this.#known) return super.create(call, at, args, out);
    const copy = { at: { ...at }, args: { ...args } };
    return this.#later(() => super.create(call, copy.at, copy.args, out));
  }
  override tmpfile(...[call, parent, args, out]: Arguments<"tmpfile">): Status {
    if (this.#known) return super.tmpfile(call, parent, args, out);
    const copy = { ...args };
    return this.#later(() => super.tmpfile(call, parent, copy, out));
  }
  override opendir(...[call, node, flags, out]: Arguments<"opendir">): Status {
    return this.#known ? super.opendir(call, node, flags, out) : this.#later(() => super.opendir(call, node, flags, out));
  }
  override readdir(...[call, node, args, out]: Arguments<"readdir">): Status {
    if (this.#known) return super.readdir(call, node, args, out);
    const copy = { ...args };
    return this.#later(() => super.readdir(call, node, copy, out));
  }
  override getxattr(...[call, node, args, out]: Arguments<"getxattr">): Status {
    if (this.#known) return super.getxattr(call, node, args, out);
    const copy = { ...args };
    return this.#later(() => super.getxattr(call, node, copy, out));
  }
  override listxattr(...[call, node, size, out]: Arguments<"listxattr">): Status {
    return this.#known ? super.listxattr(call, node, size, out) : this.#later(() => super.listxattr(call, node, size, out));
  }
  override setxattr(...[call, node, args]: Arguments<"setxattr">): Status {
    if (this.#known) return super.setxattr(call, node, args);
    const copy = { ...args, value: Buffer.from(args.value) };
    return this.#later(() => super.setxattr(call, node, copy));
  }
  override removexattr(...[call, node, name]: Arguments<"removexattr">): Status {
    return this.#known ? super.removexattr(call, node, name) : this.#later(() => super.removexattr(call, node, name));
  }
}
