/** SETATTR: copy-up, then size, owner, mode and times on the upper object. */
import {
  andThen,
  AT,
  type AttrOut,
  type CallContext,
  Errno,
  type FileOffset,
  type NodeId,
  O,
  S,
  type SetAttr,
  type Status,
  UTIME,
} from "@sluice/vfs";
import { type CopyUpOptions, copyUp } from "../copy-up/copy-up.js";
import { ABANDONED } from "../copy-up/copy-up-job.js";
import type { IoContext } from "../io/io-context.js";
import { intentOn } from "../gate/describe-access.js";
import type { Access, WatchedIo } from "../contract/gate.js";
import { govern } from "../gate/govern.js";
import { GovernedOperation } from "../gate/governed-operation.js";
import { governsAny } from "../gate/governs.js";
import { visibleNode } from "../gate/hidden.js";
import { type GovernedAccess, NO_ACCESS } from "../gate/judged-accesses.js";
import { clearSuid, clearSuidIf, emptyFile } from "../io/data.js";
import type { OpenFile } from "../handles/handle-table.js";
import { dropOtherPages } from "../io/other-pages.js";
import { shrinkLarge, shrinkLargeNode } from "../io/large-files.js";
import { giveNewId, needsNewId } from "../io/renumber.js";
import { type OwnTurn, takeTurn } from "../io/size-turns.js";
import { roomBelow } from "../io/watched-io.js";
import { closeFd, effects } from "../layer/system-calls.js";
import type { Permit } from "../layer/permit.js";
import type { Node } from "../node/node.js";
import { aim, openNode, openWritable } from "../node/open-node.js";
import { getattr } from "./getattr.js";

export function setattr(core: IoContext, call: CallContext, request: { id: NodeId; set: SetAttr }, out: AttrOut): Status {
  return govern(core, new Setting(call, request, out));
}

class Setting extends GovernedOperation<IoContext> {
  readonly #id: NodeId;
  readonly #set: SetAttr;
  /** The handle that a size was given by, and whether it was asked for the change. */
  #size: WatchedIo | undefined = undefined;
  #turn: OwnTurn | undefined = undefined;
  /** The pool has made the file as short as it is to be, once for all: others may have written since, also if it is judged again. */
  #shrunk = false;
  /** The judgement did not hold any more when the copy was made. */
  #abandoned = false;
  /** The change that was judged has cut the file: it is compared by the size that was judged, and there is no content to compare. */
  #cut = false;
  #judgedSize = 0n;

  constructor(
    call: CallContext,
    { id, set }: { id: NodeId; set: SetAttr },
    private readonly out: AttrOut,
  ) {
    super(call);
    this.#id = id;
    // The engine uses its object again for the next request, so an operation that waits keeps a copy.
    this.#set = { ...set };
  }

  protected accesses(core: IoContext): readonly GovernedAccess[] | number {
    const node = visibleNode(core, this.#id);
    if (typeof node === "number") return node;
    if (core.upper === undefined) return Errno.EROFS;
    const access = governedAccess(core, this.#set);
    if (access === undefined) return NO_ACCESS;
    const intent = intentOn(core, node, { operation: "setattr", accesses: [access] });
    if (this.#cut) return [{ intent: { ...intent, attr: { ...intent.attr, sizeExact: this.#judgedSize }, content: undefined }, node }];
    this.#judgedSize = intent.attr.sizeExact;
    return [{ intent, node }];
  }

  override judge(core: IoContext): Status {
    this.#abandoned = this.#cut = false;
    return super.judge(core);
  }

  override holds(core: IoContext): boolean {
    return !this.#abandoned && super.holds(core);
  }

  override prepare(core: IoContext, permit: Permit): Status {
    const node = core.nodes.get(this.#id);
    if (node === undefined) return Errno.ESTALE;
    const { call } = this;
    const { size } = this.#set;
    if (size === undefined) {
      return copyUp(core, node, { permit, call, truncate: false, metadataOnly: true, touches: isTouch(this.#set) });
    }
    const copied = BigInt(size) === 0n ? this.#copyEmpty(core, permit, node) : copyUp(core, node, { permit, call, truncate: false });
    const file = fileOf(core, this.#set);
    const goOn = (status: Status, next: () => Status): Status => andThen(status, (was) => (was !== 0 || this.#abandoned ? was : next()));
    const shrink = this.#shrinking(core, permit, { node, file, size });
    if (file?.watch === undefined) return goOn(copied, shrink);
    // The open file's obligations may have it wait.
    const asks: WatchedIo = (this.#size = { kind: "truncate", offset: BigInt(size), length: 0 });
    const asked = goOn(copied, () => admitted(file, asks, call));
    return goOn(goOn(asked, shrink), () => this.#takeTurn(node, file));
  }

  /** The truncation of a large file, for which others do not wait. A file whose truncation `commit` would refuse keeps its data. */
  #shrinking(core: IoContext, permit: Permit, { node, file, size }: Truncation): () => Status {
    const stands = this.#standing(core);
    const begins = (fd: number): boolean => stands() && clearSuidIf(this.#set.killSuidgid, permit, fd, this.call) === 0;
    return () => {
      if (this.#shrunk || !node.isRegular || this.#refused(file) !== 0 || this.#comesAgain(core, node)) return 0;
      const shrunk =
        file?.write === true ? shrinkLarge(permit, file.fd, size, begins) : shrinkLargeNode(core, permit, { node, size, begins });
      if (shrunk === undefined) return 0;
      return shrunk.then((done) => {
        this.#shrunk = done;
        this.#cut ||= done;
        return 0;
      });
    };
  }

  /** Tells whether the change is still as it was judged, under the same policy. */
  #standing(core: IoContext): () => boolean {
    const { epoch } = core.gate;
    return () => core.gate.epoch === epoch && this.holds(core);
  }

  /** A size by path, of a file that gets another nodeId: the kernel looks the path up once more. */
  #comesAgain(core: IoContext, node: Node): boolean {
    return this.#set.handle === undefined && core.nodes.alias(this.#id) === undefined && needsNewId(node);
  }

  /** Last of all, since others wait for the end of the turn. */
  #takeTurn(node: Node, file: OpenFile): Status {
    if (file.watch?.maxSizeBytes === undefined) return 0;
    this.#turn = takeTurn(node);
    return this.#turn.begun.then(() => 0);
  }

  /** The copy without data is the truncation: only what is still allowed when the copy is made gets that far. */
  #copyEmpty(core: IoContext, permit: Permit, node: Node): Status {
    const stands = this.#standing(core);
    const { copiedUp } = node;
    const { call } = this;
    const truncates = (copy: number): number => emptyFile(permit, copy, { call, kills: this.#set.killSuidgid });
    const options: CopyUpOptions = { permit, call, truncate: true, stands, truncates };
    return andThen(copyUp(core, node, options), (status) => {
      this.#shrunk ||= options.emptied === true;
      this.#abandoned = status === ABANDONED;
      this.#cut = status === 0 && !copiedUp;
      return this.#abandoned ? 0 : status;
    });
  }

  commit(core: IoContext, permit: Permit): number {
    const node = core.nodes.get(this.#id);
    if (node === undefined) return Errno.ESTALE;
    const change: Change = { call: this.call, id: this.#id, node, set: this.#set, isShrunk: this.#shrunk };
    const file = fileOf(core, this.#set);
    const applied = this.#refused(file) || apply(core, permit, change);
    if (this.#size !== undefined) file?.watch?.after(this.#size, -applied, this.call);
    const status = applied || getattr(core, this.#id, this.out);
    if (status === 0) return 0;
    // A part may be changed, such as the owner without the mode, and the kernel does not ask again after an error.
    core.port.dropAttributes(this.#id);
    return status;
  }

  /** The open file may have been revoked during a wait, or its limit may be another one. The errno, or 0. */
  #refused(file: OpenFile | undefined): number {
    if (file === undefined || this.#set.size === undefined) return 0;
    if (file.withheld !== 0 || this.#size === undefined) return file.withheld;
    return roomBelow(file.watch?.maxSizeBytes, this.#size.offset) < 0 ? Errno.EFBIG : 0;
  }

  end(): void {
    this.#turn?.end();
    this.#turn = undefined;
  }
}

function fileOf(core: IoContext, { handle }: SetAttr): OpenFile | undefined {
  return handle === undefined ? undefined : core.handles.file(handle);
}

/** 0, or the errno of the refusal, which the watch is told as the result of the change. */
function admitted(file: OpenFile, io: WatchedIo, call: CallContext): Status {
  const { watch } = file;
  if (watch === undefined) return 0;
  const finish = (allowed: number): number => {
    if (allowed < 0) watch.after(io, allowed, call);
    return allowed < 0 ? -allowed : 0;
  };
  const allowed = watch.before(io, call);
  return typeof allowed === "number" ? finish(allowed) : allowed.then(finish);
}

/** A size given by path is an access of its own: an open was never asked about. */
function governedAccess(core: IoContext, set: SetAttr): Access | undefined {
  if (set.size !== undefined) return set.handle === undefined && governsAny(core.gate, "truncate") ? "truncate" : undefined;
  return governsAny(core.gate, "metadata") ? "metadata" : undefined;
}

interface Change {
  call: CallContext;
  id: NodeId;
  node: Node;
  set: SetAttr;
  /** It has its size, and others may have written since. */
  isShrunk: boolean;
}

interface Truncation {
  node: Node;
  file: OpenFile | undefined;
  size: FileOffset;
}

/** utimensat(2) without times, and nothing else. */
function isTouch({ atime, mtime, size, mode, uid, gid }: SetAttr): boolean {
  if (atime?.nsec !== UTIME.NOW || mtime?.nsec !== UTIME.NOW) return false;
  return size === undefined && mode === undefined && uid === undefined && gid === undefined;
}

function apply(core: IoContext, permit: Permit, change: Change): number {
  const { node, set } = change;
  if (set.size === undefined) return applyRest(core, permit, change);
  if (!node.isRegular) return node.isDirectory ? Errno.EISDIR : Errno.EINVAL;
  if (set.handle === undefined && core.nodes.alias(change.id) === undefined && needsNewId(node)) {
    giveNewId(core, node);
    return Errno.ESTALE;
  }
  return truncateTo(core, permit, change, set.size) || applyRest(core, permit, change);
}

function truncateTo(core: IoContext, permit: Permit, change: Change, size: FileOffset): number {
  const { node } = change;
  const status = change.isShrunk ? 0 : truncateOpen(core, permit, change, size);
  dropOtherPages(core, { node, nodeId: change.id }, { offset: size, length: 0 });
  return status;
}

function truncateOpen(core: IoContext, permit: Permit, { node, set, call }: Change, size: FileOffset): number {
  const file = fileOf(core, set);
  const own = file?.write === true ? -1 : openWritable(core, node, O.WRONLY);
  const fd = file?.write === true ? file.fd : own;
  if (fd < 0) return -fd;
  const cleared = clearSuidIf(set.killSuidgid, permit, fd, call);
  const status = cleared < 0 ? cleared : effects(permit).ftruncate(fd, size);
  if (own >= 0) closeFd(own);
  return -status || 0;
}

function applyRest(core: IoContext, permit: Permit, change: Change): number {
  const { node, set } = change;
  return setOwner(core, permit, change) || setMode(core, permit, node, set) || setTimes(core, permit, node, set);
}

function setOwner(core: IoContext, permit: Permit, change: Change): number {
  const { node, set, call } = change;
  const given = set.uid !== undefined || set.gid !== undefined;
  // For root, the host's own chown removes the right bits: setgid without group execution stays for a caller with CAP_FSETID.
  const kills = set.killSuidgid || (isEmpty(set) && !node.isDirectory && call.uid !== 0);
  if (!given && kills && set.size === undefined && set.mode === undefined) {
    const status = killSuid(core, permit, call, node);
    if (status !== 0) return status;
  }
  if (!given && !isEmpty(set)) return 0;
  // By the group that the file had; the host goes by the daemon, which may keep setgid.
  if (given && set.killSuidgid && call.uid !== 0 && !node.isDirectory) {
    const status = killSuid(core, permit, call, node);
    if (status !== 0) return status;
  }
  const at = aim(core, node);
  if (at.fd < 0) return -at.fd;
  return -effects(permit).fchownat(at.fd, at.name, set.uid ?? -1, set.gid ?? -1, AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH) || 0;
}

/** chown(2) of neither owner nor group arrives as a request for nothing, and yet takes suid and moves the change time. */
function isEmpty(set: SetAttr): boolean {
  return set.mode === undefined && set.size === undefined && set.atime === undefined && set.mtime === undefined;
}

function killSuid(core: IoContext, permit: Permit, call: CallContext, node: Node): number {
  const fd = openNode(core, node, O.PATH | O.NOFOLLOW);
  if (fd < 0) return -fd;
  const status = clearSuid(permit, fd, call);
  closeFd(fd);
  return -status || 0;
}

function setMode(core: IoContext, permit: Permit, node: Node, set: SetAttr): number {
  if (set.mode === undefined || node.kind === S.IFLNK) return 0;
  const at = aim(core, node);
  if (at.fd < 0) return -at.fd;
  return -effects(permit).fchmodat(at.fd, at.name, set.mode & 0o7777, at.name === "" ? AT.EMPTY_PATH : AT.SYMLINK_NOFOLLOW) || 0;
}

function setTimes(core: IoContext, permit: Permit, node: Node, set: SetAttr): number {
  if (set.atime === undefined && set.mtime === undefined) return 0;
  const at = aim(core, node);
  if (at.fd < 0) return -at.fd;
  const times = {
    atimeSec: set.atime?.sec ?? 0,
    atimeNsec: set.atime?.nsec ?? UTIME.OMIT,
    mtimeSec: set.mtime?.sec ?? 0,
    mtimeNsec: set.mtime?.nsec ?? UTIME.OMIT,
  };
  return -effects(permit).utimensat(at.fd, at.name, times, at.name === "" ? AT.EMPTY_PATH : AT.SYMLINK_NOFOLLOW) || 0;
}
