/**
 * A filesystem whose owners are shown under other ids than the layers hold: uidmapping, gidmapping and squash_to_* of
 * fuse-overlayfs. It maps both ways: attributes and ACLs on their way out; owners, ACLs and creators on their way in. An
 * owner that the layers cannot hold is EOVERFLOW, as with an id-mapped mount of the kernel. The objects of a caller
 * without an id on the layers are nobody's, as with fuse-overlayfs: podman's root makes files in such a container.
 */
import {
  type Attr,
  type AttrOut,
  type ByteName,
  type CallContext,
  type CopyRangeArgs,
  type CreateArgs,
  type DataOut,
  type EntryOut,
  Errno,
  type FallocateArgs,
  type Filesystem,
  FilesystemDecorator,
  type NodeArgs,
  type NodeId,
  type OpenOut,
  type SetAttr,
  type Status,
  type WriteArgs,
  type XattrSetArgs,
} from "@sluice/vfs";
import { aclForLayer, isAclName, showAcl } from "./acl-ids.js";
import type { IdMapping } from "./id-map.js";
import { MappedCalls } from "./mapped-call.js";

const UID_WORD = 17;
const GID_WORD = 18;

interface At {
  parent: NodeId;
  name: ByteName;
}
interface Created {
  entry: EntryOut;
  open: OpenOut;
}

/** Remembers the bytes it gave away, so that they can be changed once they are filled. */
class WatchedData implements DataOut {
  bytes = new Uint8Array(0);
  readonly #out: DataOut;

  constructor(out: DataOut) {
    this.#out = out;
  }
  get length(): number {
    return this.#out.length;
  }
  set length(value: number) {
    this.#out.length = value;
  }
  reserve(sizeBytes: number): Uint8Array {
    this.bytes = this.#out.reserve(sizeBytes) as Uint8Array<ArrayBuffer>;
    return this.bytes;
  }
}

export class IdMappedFilesystem extends FilesystemDecorator {
  readonly #mapping: IdMapping;
  readonly #calls: MappedCalls;

  constructor(inner: Filesystem, mapping: IdMapping) {
    super(inner);
    this.#mapping = mapping;
    this.#calls = new MappedCalls(mapping);
  }

  protected override showAttr(attr: Attr): void {
    const { words } = attr;
    words[UID_WORD] = this.#mapping.uids.toShown(words[UID_WORD] as number);
    words[GID_WORD] = this.#mapping.gids.toShown(words[GID_WORD] as number);
  }

  override mknod(call: CallContext, at: At, args: NodeArgs, out: EntryOut): Status {
    return super.mknod(this.#calls.owner(call), at, args, out);
  }
  override mkdir(call: CallContext, at: At, args: NodeArgs, out: EntryOut): Status {
    return super.mkdir(this.#calls.owner(call), at, args, out);
  }
  override symlink(call: CallContext, at: At, target: ByteName, out: EntryOut): Status {
    return super.symlink(this.#calls.owner(call), at, target, out);
  }
  override create(call: CallContext, at: At, args: CreateArgs, out: Created): Status {
    return super.create(this.#calls.owner(call), at, args, out);
  }
  override tmpfile(call: CallContext, parent: NodeId, args: CreateArgs, out: Created): Status {
    return super.tmpfile(this.#calls.owner(call), parent, args, out);
  }

  override setattr(call: CallContext, node: NodeId, set: SetAttr, out: AttrOut): Status {
    const writer = this.#calls.writer(call);
    if (set.uid === undefined && set.gid === undefined) return super.setattr(writer, node, set, out);
    const uid = set.uid === undefined ? undefined : this.#mapping.uids.toLayer(set.uid);
    const gid = set.gid === undefined ? undefined : this.#mapping.gids.toLayer(set.gid);
    if ((uid === undefined) !== (set.uid === undefined) || (gid === undefined) !== (set.gid === undefined)) return Errno.EOVERFLOW;
    return super.setattr(writer, node, { ...set, uid, gid }, out);
  }
  override open(call: CallContext, node: NodeId, flags: number, out: OpenOut): Status {
    return super.open(this.#calls.writer(call), node, flags, out);
  }
  override write(call: CallContext, node: NodeId, args: WriteArgs, out: { length: number }): Status {
    return super.write(this.#calls.writer(call), node, args, out);
  }
  override fallocate(call: CallContext, node: NodeId, args: FallocateArgs): Status {
    return super.fallocate(this.#calls.writer(call), node, args);
  }
  override copyFileRange(call: CallContext, node: NodeId, args: CopyRangeArgs, out: { length: number }): Status {
    return super.copyFileRange(this.#calls.writer(call), node, args, out);
  }

  override setxattr(call: CallContext, node: NodeId, args: XattrSetArgs): Status {
    if (!isAclName(args.name)) return super.setxattr(call, node, args);
    const value = aclForLayer(args.value, this.#mapping);
    return value === undefined ? Errno.EOVERFLOW : super.setxattr(call, node, { ...args, value });
  }
  override getxattr(call: CallContext, node: NodeId, args: { name: string; size: number }, out: DataOut): Status {
    if (args.size === 0 || !isAclName(args.name)) return super.getxattr(call, node, args, out);
    const watched = new WatchedData(out);
    const show = (status: number): number => {
      if (status === 0) showAcl(watched.bytes.subarray(0, watched.length), this.#mapping);
      return status;
    };
    const status = super.getxattr(call, node, args, watched);
    return typeof status === "number" ? show(status) : status.then(show);
  }
}
