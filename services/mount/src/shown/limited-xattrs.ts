/** A filesystem that hides extended attributes, or only ACLs. The layers keep them. */
import {
  type CallContext,
  type DataOut,
  Errno,
  type Filesystem,
  FilesystemDecorator,
  type NodeId,
  type Status,
  type XattrSetArgs,
} from "@sluice/vfs";

const ACL_PREFIX = "system.posix_acl_";

export class LimitedXattrs extends FilesystemDecorator {
  readonly #none: boolean;

  constructor(inner: Filesystem, shown: "no-acl" | "none") {
    super(inner);
    this.#none = shown === "none";
  }

  /**
   * ENOSYS hides all of them: the kernel never asks again, and callers get EOPNOTSUPP. A read of an ACL gets "absent", because the kernel
   * itself asks, and any other error would become the result of the access check.
   */
  #refusal(name: string, ofAcl: number): number {
    if (this.#none) return Errno.ENOSYS;
    return name.startsWith(ACL_PREFIX) ? ofAcl : 0;
  }

  override getxattr(call: CallContext, node: NodeId, args: { name: string; size: number }, out: DataOut): Status {
    return this.#refusal(args.name, Errno.ENODATA) || super.getxattr(call, node, args, out);
  }
  override setxattr(call: CallContext, node: NodeId, args: XattrSetArgs): Status {
    return this.#refusal(args.name, Errno.EOPNOTSUPP) || super.setxattr(call, node, args);
  }
  override listxattr(call: CallContext, node: NodeId, size: number, out: DataOut): Status {
    return this.#refusal("", 0) || super.listxattr(call, node, size, out);
  }
  override removexattr(call: CallContext, node: NodeId, name: string): Status {
    return this.#refusal(name, Errno.ENODATA) || super.removexattr(call, node, name);
  }
}
