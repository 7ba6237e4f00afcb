/** GETXATTR, SETXATTR, LISTXATTR and REMOVEXATTR. Overlay marks stay out of sight; callers' own of that name are escaped. */
import {
  ACCESS_ACL,
  AT,
  type CallContext,
  type DataOut,
  DEFAULT_ACL,
  Errno,
  type NodeId,
  S,
  type Status,
  type XattrSetArgs,
} from "@sluice/vfs";
import { copyUp } from "../copy-up/copy-up.js";
import type { IoContext } from "../io/io-context.js";
import { govern } from "../gate/govern.js";
import { GovernedOperation } from "../gate/governed-operation.js";
import { visibleNode } from "../gate/hidden.js";
import type { GovernedAccess } from "../gate/judged-accesses.js";
import { IntentKind, intendXattr, intentLeft, isJournaled } from "../journal/intents.js";
import { isAdministrator } from "../layer/caller-process.js";
import { effects, listXattrs, readXattr, statFd, statName } from "../layer/system-calls.js";
import type { Permit } from "../layer/permit.js";
import { isBareNamespace, shownName, storedName } from "../marks/names.js";
import type { Node } from "../node/node.js";
import { aim } from "../node/open-node.js";
import { metadataAccess } from "./metadata-access.js";

/** Attributes that the mount itself answers, for people: the layer that serves a file, the I/O modes of its opens, the decision. */
const OWN_PREFIX = "user.sluice.";
const XATTR_MAX = 65_536;
const XATTR_NAME_MAX = 255;
const list = Buffer.alloc(XATTR_MAX);
const value = Buffer.alloc(XATTR_MAX);
/** Asks for a size alone. */
const NO_ROOM = Buffer.alloc(0);

export function getxattr(core: IoContext, id: NodeId, args: { name: string; size: number }, out: DataOut): number {
  const node = visibleNode(core, id);
  if (typeof node === "number") return node;
  if (args.name.startsWith(OWN_PREFIX)) return answer(describe(core, node, args.name.slice(OWN_PREFIX.length)), args.size, out);
  const refused = refusal(core, args.name);
  if (refused !== 0) return refused;
  const at = aim(core, node);
  const length = at.fd < 0 ? at.fd : readXattr(at.fd, at.name, storedName(core.marks, args.name), value);
  if (length === -Errno.EOPNOTSUPP && isAcl(args.name)) return Errno.ENODATA;
  return length < 0 ? -length : answer(value.subarray(0, length), args.size, out);
}

/**
 * An object of a file system without ACLs has none. Any other errno fails each access by somebody who does not own it: the kernel looks for
 * an ACL first (fs/fuse/acl.c __fuse_get_acl).
 */
function isAcl(name: string): boolean {
  return name === ACCESS_ACL || name === DEFAULT_ACL;
}

function answer(bytes: Uint8Array | undefined, size: number, out: DataOut): number {
  if (bytes === undefined) return Errno.ENODATA;
  out.length = bytes.length;
  if (size === 0) return 0;
  if (bytes.length > size) return Errno.ERANGE;
  out.reserve(bytes.length).set(bytes);
  return 0;
}

function describe(core: IoContext, node: Node, what: string): Uint8Array | undefined {
  const text = (): string | undefined => {
    switch (what) {
      case "layer":
        return node.top.layer.name;
      case "mode":
        return modeOf(node);
      case "decision":
      case "revision":
        return core.gate.describe(node.id, what);
      default:
        return undefined;
    }
  };
  if (!node.isRegular && !node.isDirectory) return undefined;
  const known = text();
  return known === undefined ? undefined : Buffer.from(known);
}

/** How the file is open now: the modes of its opens, or "closed". */
function modeOf(node: Node): string {
  const modes = new Set<string>();
  for (const file of node.io?.handles ?? []) modes.add(file.flow);
  return modes.size === 0 ? "closed" : [...modes].sort().join(",");
}

/**
 * Names in the overlay's own namespace that the kernel has no handler for: the prefix alone, and names that are too long once they
 * are escaped (fs/overlayfs/xattrs.c ovl_xattr_escape_name).
 */
function refusal(core: IoContext, name: string): number {
  if (isBareNamespace(core.marks, name)) return Errno.EINVAL;
  const stored = storedName(core.marks, name);
  return stored !== name && stored.length > XATTR_NAME_MAX ? Errno.EOPNOTSUPP : 0;
}

export function listxattr(core: IoContext, call: CallContext, request: { id: NodeId; size: number }, out: DataOut): number {
  const { id, size } = request;
  const node = visibleNode(core, id);
  if (typeof node === "number") return node;
  const at = aim(core, node);
  const length = at.fd < 0 ? at.fd : listXattrs(at.fd, at.name, list);
  if (length < 0) return -length;
  if (length === 0) return answer(list.subarray(0, 0), size, out);
  const text = list.toString("latin1", 0, length);
  if (!text.includes("trusted.") && !core.marks.namespaces.some((namespace) => text.includes(namespace))) {
    return answer(list.subarray(0, length), size, out);
  }
  const names = text.split("\0").map((name) => (name === "" ? undefined : shownName(core.marks, name)));
  const shown = listable(
    names.filter((name) => name !== undefined),
    call,
  );
  return answer(Buffer.from(shown.map((name) => `${name}\0`).join(""), "latin1"), size, out);
}

/** The host lists trusted names to the daemon, which has CAP_SYS_ADMIN; callers see them only with it (fs/overlayfs/xattrs.c ovl_can_list). */
function listable(names: readonly string[], call: CallContext): readonly string[] {
  const isTrusted = (name: string): boolean => name.startsWith("trusted.");
  return names.some(isTrusted) && !isAdministrator(call) ? names.filter((name) => !isTrusted(name)) : names;
}

export function setxattr(core: IoContext, call: CallContext, request: { id: NodeId; args: XattrSetArgs }): Status {
  const { name, flags, value: given, killSgid } = request.args;
  if (name.startsWith(OWN_PREFIX)) return Errno.EPERM;
  const refused = refusal(core, name);
  if (refused !== 0) return refused;
  const bytes = Buffer.from(given);
  const act = (permit: Permit, node: Node): number => {
    const at = aim(core, node);
    if (at.fd < 0) return at.fd;
    const real = storedName(core.marks, name);
    const made = madeBefore(core, call, { ...at, real, flags });
    const status = effects(permit).setxattrat(at.fd, at.name, real, bytes, flags & ~made);
    return status < 0 || !killSgid || name !== ACCESS_ACL ? status : dropSgid(core, permit, at);
  };
  return govern(core, new ChangingXattr(call, request.id, { act, refuse: undefined }));
}

/**
 * An ACL set by somebody outside the object's group takes setgid (FUSE_SETXATTR_ACL_KILL_SGID); the daemon's own would not. The
 * kernel asks for that of each ACL, but file systems do so only where it changes the mode.
 */
function dropSgid(core: IoContext, permit: Permit, at: { fd: number; name: string }): number {
  const attr = core.scratchAttr;
  const status = at.name === "" ? statFd(at.fd, attr) : statName(at.fd, at.name, attr);
  if (status < 0 || (attr.mode & S.ISGID) === 0) return status;
  return effects(permit).fchmodat(at.fd, at.name, attr.mode & 0o7777 & ~S.ISGID, at.name === "" ? AT.EMPTY_PATH : AT.SYMLINK_NOFOLLOW);
}

export function removexattr(core: IoContext, call: CallContext, request: { id: NodeId; name: string }): Status {
  if (request.name.startsWith(OWN_PREFIX)) return Errno.EPERM;
  const refused = refusal(core, request.name);
  if (refused !== 0) return refused;
  const name = storedName(core.marks, request.name);
  const act = (permit: Permit, node: Node): number => {
    const at = aim(core, node);
    return at.fd < 0 ? at.fd : removeOnce(core, permit, call, { fd: at.fd, file: at.name, attribute: name });
  };
  // The removal of a missing attribute copies nothing up (fs/overlayfs/xattrs.c ovl_xattr_set).
  const refuse = (node: Node): number => {
    const at = aim(core, node);
    return at.fd < 0 ? at.fd : Math.min(0, readXattr(at.fd, at.name, name, NO_ROOM));
  };
  return govern(core, new ChangingXattr(call, request.id, { act, refuse }));
}

const XATTR_CREATE = 1;

/** XATTR_CREATE where an earlier process was about to make the attribute, which was not there then: it may be by now. */
function madeBefore(core: IoContext, call: CallContext, at: { fd: number; name: string; real: string; flags: number }): number {
  if ((at.flags & XATTR_CREATE) === 0 || !isJournaled(core, call)) return 0;
  if (intentLeft(core, call, IntentKind.makeXattr) !== undefined) return XATTR_CREATE;
  if (readXattr(at.fd, at.name, at.real, NO_ROOM) === -Errno.ENODATA) intendXattr(core, call, IntentKind.makeXattr);
  return 0;
}

/** If an earlier process was about to remove the attribute, it may be gone by now. */
function removeOnce(core: IoContext, permit: Permit, call: CallContext, at: { fd: number; file: string; attribute: string }): number {
  const begun = intentLeft(core, call, IntentKind.removeXattr) !== undefined;
  if (!begun && isJournaled(core, call) && readXattr(at.fd, at.file, at.attribute, NO_ROOM) >= 0) {
    intendXattr(core, call, IntentKind.removeXattr);
  }
  const status = effects(permit).removexattrat(at.fd, at.file, at.attribute);
  return begun && status === -Errno.ENODATA ? 0 : status;
}

interface Change {
  act: (permit: Permit, node: Node) => number;
  /** A negative errno where what is still in a lower layer needs no copy. */
  refuse: ((node: Node) => number) | undefined;
}

class ChangingXattr extends GovernedOperation<IoContext> {
  constructor(
    call: CallContext,
    private readonly id: NodeId,
    private readonly change: Change,
  ) {
    super(call);
  }

  protected accesses(core: IoContext): readonly GovernedAccess[] | number {
    return metadataAccess(core, this.id);
  }

  override prepare(core: IoContext, permit: Permit): Status {
    const node = core.nodes.get(this.id);
    if (node === undefined) return Errno.ESTALE;
    const refused = node.inUpper ? 0 : (this.change.refuse?.(node) ?? 0);
    return refused < 0 ? -refused : copyUp(core, node, { permit, call: this.call, truncate: false, metadataOnly: true });
  }

  commit(core: IoContext, permit: Permit): number {
    const node = core.nodes.get(this.id);
    return node === undefined ? Errno.ESTALE : -this.change.act(permit, node) || 0;
  }
}
