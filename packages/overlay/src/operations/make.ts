/** MKNOD, MKDIR and SYMLINK. */
import { type ByteName, type CallContext, type EntryOut, Errno, type NodeArgs, type NodeId, S, type Status } from "@sluice/vfs";
import { copyUpDeep } from "../copy-up/copy-up-directory.js";
import type { OperationContext } from "./operation-context.js";
import { creationIntent } from "../gate/describe-access.js";
import { govern } from "../gate/govern.js";
import { GovernedOperation } from "../gate/governed-operation.js";
import { governsAny } from "../gate/governs.js";
import { type GovernedAccess, NO_ACCESS } from "../gate/judged-accesses.js";
import { hidesName } from "../gate/hidden.js";
import { effects } from "../layer/system-calls.js";
import type { Permit } from "../layer/permit.js";
import { admitNew } from "./admit-new.js";
import { createObject } from "./create-object.js";
import { directoryOf } from "./lookup.js";

export interface At {
  parent: NodeId;
  name: ByteName;
}

export function mknod(core: OperationContext, call: CallContext, request: { at: At; args: NodeArgs }, out: EntryOut): Status {
  const { at, args } = request;
  const { mode, rdev, umask } = args;
  // A device 0/0 is a whiteout: made through the mount it would hide what lies below (as overlayfs refuses it).
  if ((mode & S.IFMT) === S.IFCHR && rdev === 0) return Errno.EPERM;
  const make = (permit: Permit, dirFd: number, name: ByteName): number =>
    effects(permit).mknodat(dirFd, name, mode, (rdev >>> 8) & 0xfff, (rdev & 0xff) | ((rdev >>> 12) & 0xfff00));
  return govern(core, new Making(call, { at, operation: "mknod", mode, umask, make }, out));
}

export function mkdir(core: OperationContext, call: CallContext, request: { at: At; args: NodeArgs }, out: EntryOut): Status {
  const { mode, umask } = request.args;
  const make = (permit: Permit, dirFd: number, name: ByteName): number => effects(permit).mkdirat(dirFd, name, mode & 0o7777);
  return govern(core, new Making(call, { at: request.at, operation: "mkdir", mode: S.IFDIR | (mode & 0o7777), umask, make }, out));
}

export function symlink(core: OperationContext, call: CallContext, request: { at: At; target: ByteName }, out: EntryOut): Status {
  const make = (permit: Permit, dirFd: number, name: ByteName): number => effects(permit).symlinkat(request.target, dirFd, name);
  return govern(core, new Making(call, { at: request.at, operation: "symlink", mode: S.IFLNK | 0o777, umask: 0, make }, out));
}

const CREATE = ["create"] as const;

interface NewObject {
  at: At;
  operation: "mknod" | "mkdir" | "symlink";
  mode: number;
  umask: number;
  make(permit: Permit, dirFd: number, name: ByteName): number;
}

class Making extends GovernedOperation<OperationContext> {
  constructor(
    call: CallContext,
    private readonly made: NewObject,
    private readonly out: EntryOut,
  ) {
    super(call);
  }

  protected accesses(core: OperationContext): readonly GovernedAccess[] | number {
    const { at, operation, mode, umask } = this.made;
    const parent = directoryOf(core, at.parent);
    if (typeof parent === "number") return parent;
    if (core.upper === undefined) return Errno.EROFS;
    if (hidesName(core, parent, at.name)) return Errno.EACCES;
    if (!governsAny(core.gate, "create")) return NO_ACCESS;
    const made = { call: this.call, parent, name: at.name, mode, umask, accesses: CREATE, openFlags: 0 };
    return [{ intent: creationIntent(core, operation, made), node: undefined }];
  }

  override prepare(core: OperationContext): Status {
    return copyUpDeep(core, core.nodes.get(this.made.at.parent));
  }

  commit(core: OperationContext, permit: Permit): number {
    const { at, operation, umask, make } = this.made;
    const parent = directoryOf(core, at.parent);
    if (typeof parent === "number") return parent;
    const creation = { call: this.call, parent, name: at.name, umask, directory: operation === "mkdir", attr: this.out.attr, make };
    const made = createObject(core, permit, creation);
    return made < 0 ? -made : admitNew(core, { parent, name: at.name }, this.out);
  }
}
