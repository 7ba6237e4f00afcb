/**
 * Intents: changes of the upper layer that are written down just before they happen. A process that takes over can tell from
 * one whether the change happened. The request comes again, and must neither be done twice nor fail for having been done.
 * An intent is written in the same turn of the event loop as its effect, so at most one change of names is ever in doubt.
 *
 * Idempotent changes have no intent: sizes, modes, owners, times, writes at an offset, locks. The kernel keeps other writers out until they
 * are answered, except for the truncation by an open. One that takes long is noted once it is done.
 */
import type { RequestIntent } from "@sluice/journal";
import { type Attr, type ByteName, type CallContext, Errno } from "@sluice/vfs";
import { statName } from "../layer/system-calls.js";
import type { RealDir } from "../layer/host-layer.js";
import type { DirectoryAccess } from "../layer/layer-stack.js";
import type { MarkNames } from "../marks/names.js";
import { isAnyWhiteout } from "../marks/whiteout.js";
import type { Node } from "../node/node.js";
import type { OverlayJournal } from "./overlay-journal.js";

export const IntentKind = {
  /** A name is made: [directory's id, was a whiteout there], [name]. */
  make: 1,
  /** A name is given to a file: [directory's id, node's id], [name]. */
  link: 2,
  /** A name is taken: [directory's id, node's id, index of the layer the object lies in], [name]. */
  remove: 3,
  /** [directory's id, other directory's id, node's id, id of the target or 0, exchange, ino of the object, layer of the target], [name, new name]. */
  rename: 4,
  /** Bytes are added to a file: [its end before]. */
  append: 5,
  /** An attribute is made that was not there; taken that was there: []. */
  makeXattr: 6,
  removeXattr: 7,
  /** A file without a name is made: [its node's id]. */
  makeNameless: 8,
  /** An open has emptied a large file, and others may have written since: []. The one intent that is written after its effect. */
  truncated: 9,
} as const;

export interface Journaled extends DirectoryAccess {
  readonly marks: MarkNames;
  readonly journal: OverlayJournal | undefined;
  /** For objects that nobody needs for longer than one operation. */
  readonly scratchAttr: Attr;
}

function intend(core: Journaled, call: CallContext, intent: RequestIntent): void {
  const slot = call.journalSlot ?? 0;
  if (slot !== 0) core.journal?.records.requests.intend(slot, intent);
}

/** Is it written down at all? */
export function isJournaled(core: Journaled, call: CallContext): boolean {
  return core.journal !== undefined && (call.journalSlot ?? 0) !== 0;
}

/** The change that an earlier process was about to make for the request. It may have happened. */
export function intentLeft(core: Journaled, call: CallContext, kind: number): RequestIntent | undefined {
  const slot = call.journalSlot ?? 0;
  if (slot === 0 || core.journal === undefined) return undefined;
  const intent = core.journal.records.requests.intentOf(slot);
  return intent?.kind === kind ? intent : undefined;
}

/** 0, or -EEXIST if the name is taken. An object that is found there later was made by this request. */
export function intendToMake(core: Journaled, call: CallContext, at: { parent: Node; name: ByteName; dirFd: number }): number {
  if (!isJournaled(core, call)) return 0;
  const there = statName(at.dirFd, at.name, core.scratchAttr) >= 0;
  const whiteout = there && isAnyWhiteout(core.marks, at, core.scratchAttr);
  if (there && !whiteout) return -Errno.EEXIST;
  intend(core, call, { kind: IntentKind.make, numbers: [at.parent.id, whiteout ? 1 : 0], names: [at.name] });
  return 0;
}

export function intendToMakeNameless(core: Journaled, call: CallContext, node: Node): void {
  intend(core, call, { kind: IntentKind.makeNameless, numbers: [node.id], names: [] });
}

export function intendToLink(core: Journaled, call: CallContext, at: { parent: Node; name: ByteName; node: Node }): void {
  intend(core, call, { kind: IntentKind.link, numbers: [at.parent.id, at.node.id], names: [at.name] });
}

export function intendToRemove(core: Journaled, call: CallContext, at: { parent: Node; name: ByteName; node: Node }): void {
  if (!isJournaled(core, call)) return;
  const numbers = [at.parent.id, at.node.id, at.node.top.layer.index];
  intend(core, call, { kind: IntentKind.remove, numbers, names: [at.name] });
}

/** Both ends of a rename as they are now. */
export interface RenamePlan {
  parent: Node;
  name: ByteName;
  newParent: Node;
  newName: ByteName;
  node: Node;
  target: Node | undefined;
  exchange: boolean;
}

export function intendToRename(core: Journaled, call: CallContext, move: RenamePlan): void {
  if (!isJournaled(core, call)) return;
  const { parent, newParent, node, target, exchange } = move;
  const dirFd = core.fds.of(parent.upperDir as RealDir);
  const ino = dirFd >= 0 && statName(dirFd, move.name, core.scratchAttr) >= 0 ? core.scratchAttr.ino : 0;
  const numbers = [parent.id, newParent.id, node.id, target?.id ?? 0, exchange ? 1 : 0, ino, target?.top.layer.index ?? 0];
  intend(core, call, { kind: IntentKind.rename, numbers, names: [move.name, move.newName] });
}

export function intendToAppend(core: Journaled, call: CallContext, end: number): void {
  intend(core, call, { kind: IntentKind.append, numbers: [end], names: [] });
}

export function noteTruncated(core: Journaled, call: CallContext): void {
  intend(core, call, { kind: IntentKind.truncated, numbers: [], names: [] });
}

export function wasTruncated(core: Journaled, call: CallContext): boolean {
  return intentLeft(core, call, IntentKind.truncated) !== undefined;
}

export function intendXattr(core: Journaled, call: CallContext, kind: number): void {
  intend(core, call, { kind, numbers: [], names: [] });
}
