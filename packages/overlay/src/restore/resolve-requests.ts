/**
 * Resolves the requests that an earlier process was killed over. Each is completed or undone before anything else is read. The
 * kernel sends them again, and finds them done, or not begun.
 */
import type { RequestIntent } from "@sluice/journal";
import { AT, S } from "@sluice/vfs";
import type { OpenContext } from "../open/open-context.js";
import { IntentKind } from "../journal/intents.js";
import type { OverlayJournal } from "../journal/overlay-journal.js";
import { statName, upkeep } from "../layer/system-calls.js";
import type { RealDir } from "../layer/host-layer.js";
import { isAnyWhiteout, isWhiteout, makeWhiteout } from "../marks/whiteout.js";
import { existsBelow, find } from "../merge/find.js";
import { Found } from "../node/found.js";
import type { Node } from "../node/node.js";
import type { Restoring } from "./restore-handles.js";

const found = new Found();

const TMPFILE = 51;

export function resolveRequests(restoring: Restoring): void {
  const { requests } = restoring.core.journal?.records ?? {};
  if (requests === undefined) return;
  const open = [...requests.all()].filter((request) => !request.answered);
  for (const { slot, opcode } of open) forgetOpened(restoring, slot, opcode === TMPFILE);
  // Renames and removals first: a new object may lie in a directory that only its new name leads to.
  const moves = ({ intent }: { intent: RequestIntent | undefined }): boolean =>
    intent?.kind === IntentKind.rename || intent?.kind === IntentKind.remove;
  for (const { slot, intent } of [...open.filter(moves), ...open.filter((request) => !moves(request))]) {
    if (intent === undefined) continue;
    const outcome = resolve(restoring, intent);
    if (outcome === "done") requests.answerDone(slot);
    if (outcome === "undone") requests.withdraw(slot);
  }
}

/** "again": the request itself finds out how much of it is done, when it comes. */
function resolve(restoring: Restoring, intent: RequestIntent): "done" | "undone" | "again" {
  switch (intent.kind) {
    case IntentKind.make:
      return unmake(restoring, intent);
    case IntentKind.makeNameless:
      return unmakeNameless(restoring, intent);
    case IntentKind.remove:
      return resolveRemoval(restoring, intent);
    case IntentKind.rename:
      return resolveRename(restoring, intent);
    default:
      return "again";
  }
}

/** Closes files that were opened and that the kernel was not told of. */
function forgetOpened({ core, restorable }: Restoring, request: number, nameless: boolean): void {
  const { handles, requests } = (core.journal as OverlayJournal).records;
  for (const slot of [...handles.slots()]) {
    const by = handles.openedBy(slot);
    if (by.slot !== request || by.unique !== requests.uniqueOf(request)) continue;
    const record = handles.read(slot);
    handles.remove(slot);
    if (record.kind === "directory") continue;
    const shared = [...handles.slots()].some((other) => {
      const file = handles.read(other);
      return file.kind === "file" && file.backingId === record.backingId;
    });
    if (record.backingId !== 0 && !shared) core.port.closeBacking(record.backingId);
    if (nameless && restorable.isPending(record.node)) restorable.drop(record.node);
  }
}

/** Whatever is under the name was made by the request, for nothing was there, or a whiteout. */
function unmake({ core, restorable }: Restoring, { numbers, names }: RequestIntent): "undone" {
  const parent = core.nodes.get(numbers[0] as number);
  const name = names[0] as string;
  const dirFd = parent?.upperDir === undefined ? -1 : core.fds.of(parent.upperDir);
  if (parent === undefined || dirFd < 0) return "undone";
  const attr = core.scratchAttr;
  if (statName(dirFd, name, attr) >= 0 && !isWhiteout(attr)) {
    upkeep.unlinkat(dirFd, name, (attr.mode & S.IFMT) === S.IFDIR ? AT.REMOVEDIR : 0);
  }
  // A process may have been killed over this very place, too.
  if (numbers[1] === 1) makeWhiteout(dirFd, name);
  const slot = restorable.slotAt(parent, name);
  if (slot !== 0) restorable.drop(slot);
  return "undone";
}

/** A file that nobody was told of, and that nothing leads to. */
function unmakeNameless({ restorable }: Restoring, { numbers }: RequestIntent): "undone" {
  const slot = restorable.slotOf(numbers[0] as number);
  if (slot !== 0) restorable.drop(slot);
  return "undone";
}

function resolveRemoval({ core, restorable }: Restoring, { numbers, names }: RequestIntent): "done" | "undone" {
  const [parentId, nodeId, layer] = numbers as [number, number, number];
  const name = names[0] as string;
  const parent = core.nodes.get(parentId);
  if (parent === undefined || find(core, parent, name, found) !== 0 || found.kind !== 0) return "undone";
  const slot = restorable.slotOf(nodeId);
  if (slot !== 0) restorable.dropName(slot, { parent, name }, layer);
  return "done";
}

interface Ends {
  parent: Node;
  name: string;
  newParent: Node;
  newName: string;
}

function resolveRename({ core, restorable }: Restoring, { numbers, names }: RequestIntent): "done" | "undone" {
  const [parentId, newParentId, nodeId, targetId, exchange, ino, layer] = numbers as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const [name, newName] = names as [string, string];
  const parent = core.nodes.get(parentId);
  const newParent = core.nodes.get(newParentId);
  if (parent?.upperDir === undefined || newParent?.upperDir === undefined) return "undone";
  const into = core.fds.of(newParent.upperDir);
  if (into < 0 || statName(into, newName, core.scratchAttr) < 0 || core.scratchAttr.ino !== ino) return "undone";
  const ends = { parent, name, newParent, newName };
  if (exchange === 0) clearSource(core, ends);
  const from = { parent, name };
  const to = { parent: newParent, name: newName };
  const target = restorable.slotOf(targetId);
  const node = restorable.slotOf(nodeId);
  if (target !== 0 && exchange === 0) restorable.dropName(target, to, layer);
  if (node !== 0) restorable.moveName(node, from, to);
  if (target !== 0 && exchange !== 0) restorable.moveName(target, to, from);
  return "done";
}

/** Removes a whiteout that changed places with a renamed object and hides nothing at its new place. */
function clearSource(core: OpenContext, { parent, name }: Ends): void {
  const from = core.fds.of(parent.upperDir as RealDir);
  if (from < 0 || statName(from, name, core.scratchAttr) < 0) return;
  if (!isAnyWhiteout(core.marks, { dirFd: from, name }, core.scratchAttr)) return;
  if (!existsBelow(core, parent, name)) upkeep.unlinkat(from, name, 0);
}
