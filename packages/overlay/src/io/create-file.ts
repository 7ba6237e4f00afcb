/** CREATE and TMPFILE: a new file and its first open, decided together before either exists. */
import { type CallContext, type CreateArgs, type EntryOut, Errno, O, type OpenOut, S, type Status } from "@sluice/vfs";
import { copyUpDirectory } from "../copy-up/copy-up-directory.js";
import type { Core } from "../core.js";
import { GRANTED } from "../gate/authorize.js";
import type { Intent, Ruling } from "../gate/gate.js";
import { intendToMakeNameless } from "../journal/intents.js";
import { openName, statFd, sys } from "../layer/host-layer.js";
import type { RealDir } from "../layer/real-dir.js";
import { setIno } from "../node/admit.js";
import { type Node, pathAt } from "../node/node.js";
import { admitNew } from "../operations/admit-new.js";
import { createObject, writeLabels } from "../operations/create-object.js";
import { attrTtlMs } from "../operations/getattr.js";
import { directoryOf, enter } from "../operations/lookup.js";
import { type At, creationIntent } from "../operations/make.js";
import { InodeIo } from "./inode-io.js";
import { accessesOf } from "./open-intent.js";
import { settle, settlingOf } from "./settle-open.js";
import { mayAdd } from "../node/protection.js";

interface CreateOut {
  entry: EntryOut;
  open: OpenOut;
}

export function createFile(core: Core, call: CallContext, request: { at: At; args: CreateArgs }, out: CreateOut): Status {
  const { at, args } = request;
  return decided(core, call, { parentId: at.parent, name: at.name, args }, (parent, ruling) => {
    const make = (dirFd: number, name: string): number => openName(dirFd, name, O.RDWR | O.CREAT | O.EXCL, args.mode & 0o7777);
    const fd = createObject(core, { call, parent, name: at.name, umask: args.umask, directory: false, make });
    if (fd < 0) return -fd;
    const status = admitNew(core, parent, at.name, out.entry);
    if (status !== 0) {
      sys.close(fd);
      return status;
    }
    open(core, { call, fd, ruling, node: core.nodes.get(out.entry.nodeId) as Node, flags: args.flags }, out);
    return 0;
  });
}

export function createNameless(core: Core, call: CallContext, request: { parent: number; args: CreateArgs }, out: CreateOut): Status {
  const { args } = request;
  return decided(core, call, { parentId: request.parent, name: undefined, args }, (parent, ruling) => {
    const copied = mayAdd(core, parent) || copyUpDirectory(core, parent);
    if (copied !== 0) return copied;
    const fd = makeNameless(core, { call, parent, args });
    if (fd < 0) return -fd;
    const node = core.nodes.make(S.IFREG);
    node.dir = parent.upperDir;
    node.lastPath = pathAt(parent, "#tmpfile");
    node.fd = sys.openat(-100, `/proc/self/fd/${fd}`, O.PATH | O.CLOEXEC, 0);
    const status = node.fd < 0 ? node.fd : statFd(fd, out.entry.attr);
    if (status < 0) {
      sys.close(fd);
      core.nodes.letGo(node);
      return -status;
    }
    const words = out.entry.attr.words;
    setIno(core, node, { lo: words[0] as number, hi: words[1] as number, device: node.top.layer.deviceIndex });
    intendToMakeNameless(core, call, node);
    enter(core, node, out.entry);
    open(core, { call, fd, ruling, node, flags: args.flags }, out);
    return 0;
  });
}

function makeNameless(core: Core, made: { call: CallContext; parent: Node; args: CreateArgs }): number {
  const dirFd = core.fds.of(made.parent.upperDir as RealDir);
  if (dirFd < 0) return dirFd;
  const status = sys.asCaller(made.call.uid, made.call.gid, made.args.umask, made.call.groups);
  if (status < 0) return status;
  let fd: number;
  try {
    fd = sys.openat(dirFd, ".", O.TMPFILE | O.RDWR | O.CLOEXEC | (made.args.flags & O.EXCL), made.args.mode & 0o7777);
  } finally {
    sys.asDaemon();
  }
  const labelled = fd < 0 ? fd : writeLabels(made.call, fd, "");
  if (labelled >= 0) return fd;
  if (fd >= 0) sys.close(fd);
  return labelled;
}

function open(core: Core, made: { call: CallContext; fd: number; ruling: Ruling; node: Node; flags: number }, out: CreateOut): void {
  const { node } = made;
  node.io = new InodeIo();
  const file = core.handles.addFile(node, node.id, node.io);
  file.write = true;
  file.flags = made.flags;
  const settling = settlingOf(made.call, file, made.ruling);
  settling.fd = made.fd;
  settling.fresh = true;
  settle(core, settling, out.open);
  // The entry was filled before the file was granted for writing.
  out.entry.attrTtlMs = attrTtlMs(core, node);
}

interface Wish {
  parentId: number;
  /** undefined: a file without a name. */
  name: string | undefined;
  args: CreateArgs;
}

function decided(core: Core, call: CallContext, wish: Wish, act: (parent: Node, ruling: Ruling) => number): Status {
  const parent = directoryOf(core, wish.parentId);
  if (typeof parent === "number") return parent;
  if (core.upper === undefined) return Errno.EROFS;
  if (!core.gate.active) return act(parent, GRANTED);
  const after = (ruling: Ruling): number => {
    if (ruling.effect === "deny") return ruling.errno;
    return parent.unlinked ? Errno.ENOENT : act(parent, ruling);
  };
  const ruling = core.gate.authorize(call, intent(call, parent, wish));
  if (!(ruling instanceof Promise)) return after(ruling);
  return ruling.then(after, () => Errno.EINTR);
}

function intent(call: CallContext, parent: Node, wish: Wish): Intent {
  const { args } = wish;
  const operation = wish.name === undefined ? "tmpfile" : "create";
  // A nameless file can be linked anywhere in reach: it is judged where it is made, and again by LINK where it goes.
  const name = wish.name ?? "#tmpfile";
  const made = creationIntent(operation, { call, parent, name, mode: S.IFREG | (args.mode & ~args.umask & 0o7777) });
  return { ...made, accesses: ["create", ...accessesOf(args.flags)], openFlags: args.flags };
}
