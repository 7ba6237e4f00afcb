/** MKNOD, MKDIR and SYMLINK. */
import {
  type Attr,
  Attr as AttrBlock,
  type ByteName,
  type CallContext,
  type EntryOut,
  Errno,
  type NodeArgs,
  type NodeId,
  S,
  type Status,
} from "@sluice/vfs";
import type { Core } from "../core.js";
import { authorizeThen, governsAny } from "../gate/authorize.js";
import type { Intent } from "../gate/gate.js";
import { sys } from "../layer/host-layer.js";
import { type Node, pathAt } from "../node/node.js";
import { admitNew } from "./admit-new.js";
import { createObject } from "./create-object.js";
import { directoryOf } from "./lookup.js";

export interface At {
  parent: NodeId;
  name: ByteName;
}

export function mknod(core: Core, call: CallContext, request: { at: At; args: NodeArgs }, out: EntryOut): Status {
  const { at, args } = request;
  const { mode, rdev, umask } = args;
  // A device 0/0 is a whiteout: made through the mount it would hide what lies below (as overlayfs refuses it).
  if ((mode & S.IFMT) === S.IFCHR && rdev === 0) return Errno.EPERM;
  const make = (dirFd: number, name: ByteName): number =>
    sys.mknodat(dirFd, name, mode, (rdev >>> 8) & 0xfff, (rdev & 0xff) | ((rdev >>> 12) & 0xfff00));
  return makeObject(core, { call, at, operation: "mknod", mode, umask, make }, out);
}

export function mkdir(core: Core, call: CallContext, request: { at: At; args: NodeArgs }, out: EntryOut): Status {
  const { mode, umask } = request.args;
  const make = (dirFd: number, name: ByteName): number => sys.mkdirat(dirFd, name, mode & 0o7777);
  return makeObject(core, { call, at: request.at, operation: "mkdir", mode: S.IFDIR | (mode & 0o7777), umask, make }, out);
}

export function symlink(core: Core, call: CallContext, request: { at: At; target: ByteName }, out: EntryOut): Status {
  const make = (dirFd: number, name: ByteName): number => sys.symlinkat(request.target, dirFd, name);
  return makeObject(core, { call, at: request.at, operation: "symlink", mode: S.IFLNK | 0o777, umask: 0, make }, out);
}

interface Making {
  call: CallContext;
  at: At;
  operation: "mknod" | "mkdir" | "symlink";
  mode: number;
  umask: number;
  make(dirFd: number, name: ByteName): number;
}

function makeObject(core: Core, making: Making, out: EntryOut): Status {
  const parent = directoryOf(core, making.at.parent);
  if (typeof parent === "number") return parent;
  if (core.upper === undefined) return Errno.EROFS;
  const { call, at } = making;
  const act = (): number => {
    const { umask, make } = making;
    const made = createObject(core, { call, parent, name: at.name, umask, directory: making.operation === "mkdir", make });
    return made < 0 ? -made : admitNew(core, parent, at.name, out);
  };
  if (!governsAny(core.gate, "create")) return act();
  return authorizeThen(
    core,
    call,
    creationIntent(making.operation, { call, parent, name: at.name, mode: making.mode & ~making.umask }),
    act,
  );
}

/** What is about to be made, as far as it is known before it exists. */
export function creationIntent(
  operation: Intent["operation"],
  made: { call: CallContext; parent: Node; name: ByteName; mode: number },
): Intent {
  const attr: Attr = new AttrBlock();
  attr.mode = made.mode;
  attr.words[17] = made.call.uid;
  attr.words[18] = made.call.gid;
  return {
    operation,
    accesses: ["create"],
    paths: [pathAt(made.parent, made.name)],
    layer: "upper",
    attr,
    openFlags: 0,
    readXattr: () => undefined,
    content: undefined,
  };
}
