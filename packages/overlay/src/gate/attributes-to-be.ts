/** The owner and mode that an object will have once it is made. The file system of the upper layer gives them, so these are its rules. */
import { ACL, ACL_TAG, Attr, type CallContext, DEFAULT_ACL, S } from "@sluice/vfs";
import type { IntentAttr } from "../contract/gate.js";
import type { DirectoryAccess } from "../layer/layer-stack.js";
import type { Node } from "../node/node.js";
import { statNode } from "../node/open-node.js";
import { readXattrOf } from "./node-xattr.js";

export interface ObjectToMake {
  call: CallContext;
  parent: Node;
  /** Type and permissions, as the caller asks for them. */
  mode: number;
  umask: number;
}

const directory = new Attr();

export function attributesToBe(core: DirectoryAccess, made: ObjectToMake): IntentAttr {
  const { call, parent } = made;
  // The creation fails, too.
  if (statNode(core, parent, directory) < 0) directory.words.fill(0);
  // As inode_init_owner does (fs/inode.c).
  const inherits = (directory.mode & S.ISGID) !== 0;
  const setgid = inherits && (made.mode & S.IFMT) === S.IFDIR ? S.ISGID : 0;
  return { mode: modeToBe(core, made) | setgid, uid: call.uid, gid: inherits ? directory.gid : call.gid, sizeExact: 0n };
}

/** A default ACL takes the place of the umask (fs/posix_acl.c posix_acl_create). */
function modeToBe(core: DirectoryAccess, { parent, mode, umask }: ObjectToMake): number {
  if ((mode & S.IFMT) === S.IFLNK) return mode;
  const fd = core.fds.of(parent.top);
  const acl = fd < 0 ? undefined : readXattrOf(fd, DEFAULT_ACL);
  return mode & ~(acl instanceof Uint8Array ? withheldBy(acl) : umask);
}

/** The permission bits that the ACL does not give. */
function withheldBy(acl: Uint8Array): number {
  const view = new DataView(acl.buffer, acl.byteOffset, acl.byteLength);
  const given = new Map<number, number>();
  for (let at = ACL.HEADER_BYTES; at + ACL.ENTRY_BYTES <= view.byteLength; at += ACL.ENTRY_BYTES)
    given.set(view.getUint16(at, true), view.getUint16(at + ACL.PERMISSIONS_AT, true));
  const of = (tag: number): number => given.get(tag) ?? 0;
  const group = given.get(ACL_TAG.MASK) ?? of(ACL_TAG.OWNING_GROUP);
  return 0o777 & ~((of(ACL_TAG.OWNER) << 6) | (group << 3) | of(ACL_TAG.OTHER));
}
