/** CREATE and TMPFILE: makes a file and opens it. Both are judged together, before either exists; open-new-file.ts opens it. */
import { Attr, type CallContext, type CreateArgs, type EntryOut, Errno, O, type OpenOut, S, type Status } from "@sluice/vfs";
import { copyUpDeep, copyUpDirectory } from "../copy-up/copy-up-directory.js";
import type { OpenContext } from "./open-context.js";
import { hidesName, hidesNode } from "../gate/hidden.js";
import { creationIntent } from "../gate/describe-access.js";
import type { Intent, Ruling } from "../contract/gate.js";
import { govern, type Governed } from "../gate/govern.js";
import { GRANTED } from "../gate/governs.js";
import { firstDenial, type GovernedAccess, JudgedAccesses, NO_ACCESS } from "../gate/judged-accesses.js";
import { intendToMakeNameless } from "../journal/intents.js";
import { makeFile, makeNamelessFile, statFd, sys } from "../layer/system-calls.js";
import type { Permit } from "../layer/permit.js";
import type { RealDir } from "../layer/host-layer.js";
import { setIno } from "../node/admit.js";
import { type Node, pathAt } from "../node/node.js";
import { mayAdd } from "../node/protection.js";
import { admitNew } from "../operations/admit-new.js";
import { createObject, writeLabels } from "../operations/create-object.js";
import { attrTtlMs } from "../operations/getattr.js";
import { directoryOf, enter } from "../operations/lookup.js";
import type { At } from "../operations/make.js";
import { accessesOf } from "./open-intent.js";
import { type NewFile, openNewFile } from "./open-new-file.js";

/**
 * The name in its directory by which a file without one is judged, until LINK is judged by a real name. Rules for all names of a
 * directory match it, and none that is about some names.
 */
const UNNAMED = "(unnamed)";

/** Attributes of the file that was just made. */
const seen = new Attr();

interface CreateOut {
  entry: EntryOut;
  open: OpenOut;
}

export function createFile(core: OpenContext, call: CallContext, request: { at: At; args: CreateArgs }, out: CreateOut): Status {
  return govern(core, new Creating(call, { parentId: request.at.parent, name: request.at.name, args: request.args }, out));
}

export function createNameless(
  core: OpenContext,
  call: CallContext,
  request: { parent: number; args: CreateArgs },
  out: CreateOut,
): Status {
  return govern(core, new Creating(call, { parentId: request.parent, name: undefined, args: request.args }, out));
}

interface FileToMake {
  parentId: number;
  /** Undefined for a file without a name. */
  name: string | undefined;
  args: CreateArgs;
}

class Creating implements Governed<OpenContext> {
  /** Undefined if the policy governs nothing. */
  #judged: JudgedAccesses | undefined = undefined;
  #ruling: Ruling = GRANTED;

  constructor(
    readonly call: CallContext,
    private readonly file: FileToMake,
    private readonly out: CreateOut,
  ) {}

  judge(core: OpenContext): Status {
    const accesses = this.#accesses(core);
    if (typeof accesses === "number") return accesses;
    this.#ruling = GRANTED;
    this.#judged = accesses.length === 0 ? undefined : new JudgedAccesses();
    if (this.#judged === undefined) return 0;
    return this.#judged.judge(core, this.call, accesses, (rulings) => {
      this.#ruling = rulings[0] as Ruling;
      return firstDenial(rulings);
    });
  }

  holds(core: OpenContext): boolean {
    const accesses = this.#accesses(core);
    if (typeof accesses === "number") return false;
    return this.#judged === undefined ? accesses.length === 0 : this.#judged.hold(core, this.call, accesses);
  }

  prepare(core: OpenContext): Status {
    return copyUpDeep(core, core.nodes.get(this.file.parentId));
  }

  commit(core: OpenContext, permit: Permit): number {
    const parent = directoryOf(core, this.file.parentId);
    if (typeof parent === "number") return parent;
    const { name, args } = this.file;
    const made: Made = { call: this.call, parent, name: name ?? "", args, ruling: this.#ruling };
    return name === undefined ? makeNameless(core, permit, made, this.out) : makeNamed(core, permit, made, this.out);
  }

  #accesses(core: OpenContext): readonly GovernedAccess[] | number {
    const parent = directoryOf(core, this.file.parentId);
    if (typeof parent === "number") return parent;
    if (core.upper === undefined) return Errno.EROFS;
    const { name } = this.file;
    if (name === undefined ? hidesNode(core, parent) : hidesName(core, parent, name)) return Errno.EACCES;
    return core.gate.active ? [{ intent: intentOf(core, this.call, parent, this.file), node: undefined }] : NO_ACCESS;
  }
}

function intentOf(core: OpenContext, call: CallContext, parent: Node, file: FileToMake): Intent {
  const { args } = file;
  const operation = file.name === undefined ? "tmpfile" : "create";
  const name = file.name ?? UNNAMED;
  const { flags, umask } = args;
  const mode = S.IFREG | (args.mode & 0o7777);
  return creationIntent(core, operation, { call, parent, name, mode, umask, accesses: ["create", ...accessesOf(flags)], openFlags: flags });
}

interface Made {
  call: CallContext;
  parent: Node;
  /** "" for a file without a name. */
  name: string;
  args: CreateArgs;
  ruling: Ruling;
}

function makeNamed(core: OpenContext, permit: Permit, made: Made, out: CreateOut): number {
  const { call, parent, name, args, ruling } = made;
  const make = (by: Permit, dirFd: number, as: string): number => makeFile(by, { dirFd, name: as }, O.RDWR | O.EXCL, args.mode & 0o7777);
  const fd = createObject(core, permit, { call, parent, name, umask: args.umask, directory: false, attr: out.entry.attr, make });
  if (fd < 0) return -fd;
  seen.copyFrom(out.entry.attr);
  admitNew(core, { parent, name }, out.entry);
  open(core, permit, { call, fd, seen, ruling, node: core.nodes.get(out.entry.nodeId) as Node, flags: args.flags }, out);
  return 0;
}

function makeNameless(core: OpenContext, permit: Permit, made: Made, out: CreateOut): number {
  const { call, parent, args, ruling } = made;
  const copied = mayAdd(core, parent) || copyUpDirectory(core, parent);
  if (copied !== 0) return copied;
  const fd = openNameless(core, permit, made);
  if (fd < 0) return -fd;
  const node = core.nodes.make(S.IFREG);
  node.dir = parent.upperDir;
  node.lastPath = pathAt(parent, UNNAMED);
  node.fd = sys.openat(-100, `/proc/self/fd/${fd}`, O.PATH | O.CLOEXEC, 0);
  const status = node.fd < 0 ? node.fd : statFd(fd, seen);
  if (status < 0) {
    sys.close(fd);
    core.nodes.letGo(node);
    return -status;
  }
  out.entry.attr.copyFrom(seen);
  const { words } = seen;
  setIno(core, node, { lo: words[0] as number, hi: words[1] as number, device: node.top.layer.deviceIndex });
  intendToMakeNameless(core, call, node);
  enter(core, node, out.entry);
  open(core, permit, { call, fd, seen, ruling, node, flags: args.flags }, out);
  return 0;
}

function openNameless(core: OpenContext, permit: Permit, { call, parent, args }: Made): number {
  const dirFd = core.fds.of(parent.upperDir as RealDir);
  if (dirFd < 0) return dirFd;
  const status = sys.asCaller(call.uid, call.gid, args.umask, call.groups);
  if (status < 0) return status;
  let fd: number;
  try {
    fd = makeNamelessFile(permit, dirFd, O.RDWR | (args.flags & O.EXCL), args.mode & 0o7777);
  } finally {
    sys.asDaemon();
  }
  const labelled = fd < 0 ? fd : writeLabels(permit, call, { dirFd: fd, name: "" });
  if (labelled >= 0) return fd;
  if (fd >= 0) sys.close(fd);
  return labelled;
}

function open(core: OpenContext, permit: Permit, file: NewFile, out: CreateOut): void {
  openNewFile(core, permit, file, out.open);
  // The entry was filled before the file was granted for writing.
  out.entry.attrTtlMs = attrTtlMs(core, file.node);
}
