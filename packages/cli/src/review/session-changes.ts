/** The changes of a session, for the commands that show, apply and undo them. */
import {
  appliedAt,
  type Difference,
  type Differences,
  forgetUndo,
  hasApply,
  isWithin,
  linkNames,
  missingOf,
  namedBy,
  noteStates,
  passStates,
  type Place,
  type Recovery,
  recoverApply,
  restoreOriginalIds,
  reviewLayers,
  reviewPlace,
  selectorOf,
} from "@sluice/changes";
import { type LayerPath, type LayerStack, MountedOver, type Tree } from "@sluice/layer-tools";
import { native, openBeneath, restoreOpened } from "@sluice/native";
import { escapeTextName, wrong } from "@sluice/runtime/cli";
import { O } from "@sluice/vfs";
import { policyOf, type SessionPolicy } from "./session-policy.js";
import { withProgress } from "./show-progress.js";
import {
  addRestored,
  forgetShownIds,
  hasShownIds,
  isOtherBase,
  listRestored,
  listSessions,
  removeSession,
  removeUnusedLayers,
  type Session,
} from "@sluice/sessions";

/** Undefined if there is no such session. @throws CliError if it cannot be used */
export function findSession(name: string): Session | undefined {
  let found: Session | Error | undefined;
  for (const { name: other, session } of listSessions()) {
    if (other === name) found = session;
    else if (!(session instanceof Error)) session.close();
  }
  if (found instanceof Error) throw found;
  return found;
}

export interface SessionPlace extends Place {
  policy: SessionPolicy | undefined;
}

export function placeOf(session: Session): SessionPlace {
  const directory = { fd: session.fd, path: session.directory };
  const base = session.openBase();
  const [[upper, ...frozen], records] = session.settled(() => [session.openLayers() as [Tree, ...Tree[]], session.openRecords()] as const);
  const { begun, snapshot } = session.record;
  return {
    ...{ name: session.name, base, isOtherBase: isOtherBase(session.record, base), upper, frozen, records, directory },
    snapshot: snapshot === null ? undefined : session.openLowest(),
    begun: begun === null ? undefined : BigInt(begun),
    restored: { list: () => listRestored(session.base), add: (files) => addRestored(session, files) },
    policy: policyOf(session),
  };
}

const onDisk = ({ fd, directory: path }: Session): Pick<Place, "directory"> => ({ directory: { fd, path } });

/** The fork takes no file that an apply or its undoing made in the directory for somebody else's change. @param to its directory. @throws CliError */
export function passApplied(from: Session, to: Place["directory"], checkpoint: string | undefined): void {
  passStates(onDisk(from), { directory: to }, checkpoint);
}

/** The same for the forks of a new checkpoint. @throws CliError */
export function noteApplied(session: Session, checkpoint: string): void {
  noteStates(onDisk(session), checkpoint);
}

/** Ends an apply or undo that was killed. The session is locked. @throws CliError */
function recover(place: Place): Recovery | undefined {
  const recovery = recoverApply(place);
  if (recovery !== undefined) process.stderr.write(`sluice: ${place.name}: an interrupted command was ended: ${recovery}\n`);
  return recovery;
}

/** Before changes leave a session, or return: its own layers become one upper layer. The session is locked. @throws CliError */
export async function soleUpper(session: Session): Promise<SessionPlace> {
  recoverSession(session);
  if (session.record.layers.length > 0) {
    await session.mergeLayers();
    removeUnusedLayers();
    completeLayers(session);
  }
  return placeOf(session);
}

/** Only a session of root has an index. */
function completeLinks(session: Session): void {
  if (session.record.userXattr) return;
  const work = session.openLayer("work");
  linkNames(work, () => placeOf(session));
  native.close(work.fd);
}

/** Of directories that a killed mount of an ordinary user opened for a moment: the scratch directory has notes. */
function restoreModes(session: Session): void {
  if (!session.record.userXattr) return;
  const [upper, work] = [session.openLayer("upper"), session.openLayer("work")];
  const scratch = openBeneath(work.fd, "work", O.RDONLY | O.DIRECTORY, 0);
  if (scratch >= 0) restoreOpened(scratch, (path) => openBeneath(upper.fd, path === "" ? "." : path, O.PATH | O.DIRECTORY, 0));
  for (const fd of [upper.fd, work.fd, scratch]) if (fd >= 0) native.close(fd);
}

/** The command has ended, or was killed before: its layers get all that only a mount would show. The session is locked. @throws CliError */
export function completeLayers(session: Session): void {
  restoreModes(session);
  completeLinks(session);
  if (!hasShownIds(session.place)) return;
  restoreOriginalIds(placeOf(session));
  // Files that a fork of a working session has in a layer get theirs when its layers are one: nothing writes in a layer.
  if (session.record.layers.length === 0) forgetShownIds(session.place);
}

/** Before a command runs in a session again: its layers are not changed under it. The session is locked. @throws CliError */
export function recoverSession(session: Session): Recovery | undefined {
  const recovery = hasApply(onDisk(session)) ? recover(placeOf(session)) : undefined;
  completeLayers(session);
  return recovery;
}

/** Before a session is removed: nothing of it stays in its directory, which may be gone. The session is locked. @throws CliError */
function forgetSession(session: Session): void {
  if (!session.hasBase() || !hasApply(onDisk(session))) return;
  const place = placeOf(session);
  recover(place);
  forgetUndo(place);
}

function remove(session: Session): void {
  forgetSession(session);
  removeSession(session);
}

/** Reads the record once more, too. @returns false if another command works on the session */
async function tryLock(session: Session): Promise<boolean> {
  try {
    await session.lock();
    return true;
  } catch {
    return false;
  }
}

/** Sessions that were discarded after an apply. One that another command undoes stays. @throws CliError */
export async function removeDiscarded(): Promise<void> {
  for (const { session } of listSessions({ discarded: true })) {
    if (session instanceof Error) continue;
    if (session.record.discarded && (await tryLock(session)) && session.record.discarded) remove(session);
    session.close();
  }
}

function canBeUndone(session: Session): boolean {
  // A session without an apply needs no directory, which may be closed to the user.
  if (!session.hasBase() || !hasApply(onDisk(session))) return false;
  recoverSession(session);
  return appliedAt({ directory: { fd: session.fd, path: session.directory } }) !== undefined;
}

/**
 * Removes a session with its changes. If something of it was applied, it stays for `sluice undo` until the next apply or discard, and nothing
 * else finds it. It is locked. @returns the sentence to tell. @throws CliError
 */
export async function discardSession(session: Session): Promise<string> {
  await removeDiscarded();
  if (canBeUndone(session)) {
    session.setDiscarded(true);
    return `${session.name}: discarded; 'sluice undo' still reverses its apply, until the next apply or discard`;
  }
  remove(session);
  return `${session.name}: discarded`;
}

export interface Review {
  stack: LayerStack;
  all: Differences;
  selected: Difference[];
  /** Paths that a person named one by one: an apply takes these changes, although they are held back. */
  named: ReadonlySet<string>;
}

/** The selected changes that an apply leaves in the session. */
export function heldBackIn({ selected, named }: Review): Difference[] {
  return selected.filter(({ path, heldBack }) => heldBack !== undefined && !named.has(path));
}

/** Whether the session or the layers below it have something at the path. */
function isThere({ stack, all }: Pick<Review, "stack" | "all">, path: string): boolean {
  if (path === "" || all.list.some((one) => isWithin(one.path, path))) return true;
  if (path.split("/").some((name) => ["", ".", ".."].includes(name))) return false;
  try {
    let at: readonly LayerPath[] = stack.roots();
    for (const name of path.split("/")) at = stack.resolve(at, name);
    return at.length > 0;
  } catch (error) {
    if (error instanceof MountedOver) return true;
    throw error;
  }
}

/** @param words paths and `!patterns`. @throws CliError, also if they select nothing though there are changes, or if one of the paths is unknown */
function select({ stack, all }: Pick<Review, "stack" | "all">, base: string, words: readonly string[]): Review {
  const isSelected = selectorOf(base, words);
  const selected = all.list.filter(({ path }) => isSelected(path));
  const missing = missingOf(base, words, (path) => isThere({ stack, all }, path));
  if (missing.length > 0 && all.list.length > 0)
    throw wrong(
      missing.map(escapeTextName).join(" "),
      "there is no such path, nor a change of one (ENOENT)",
      "see 'sluice diff' without paths",
    );
  if (selected.length === 0 && all.list.length > 0)
    throw wrong(words.map(escapeTextName).join(" "), "no change has such a path", "see 'sluice diff' without paths");
  return { stack, all, selected, named: namedBy(base, words) };
}

/** The changes behind those that are shown: a rename has two. */
export function behind({ all }: Review, shown: readonly Difference[]): Difference[] {
  const byPath = new Map(all.list.map((one) => [one.path, one]));
  return shown.flatMap(({ path, from }) =>
    [from === undefined ? undefined : byPath.get(from), byPath.get(path)].filter((one) => one !== undefined),
  );
}

/** Of layers that belong to no session. */
export function review(stack: LayerStack, base: string, words: readonly string[]): Review {
  return select({ stack, all: reviewLayers(stack) }, base, words);
}

export async function reviewSession(place: SessionPlace, words: readonly string[]): Promise<Review> {
  const found = await withProgress("comparing", (onProgress) => reviewPlace(place, onProgress));
  const { policy } = place;
  const shared = found.all.list.filter(({ isShared }) => isShared === true);
  // Most reviews load no policy.
  if (policy !== undefined && shared.length > 0) await (await import("./held-back.js")).noteHeldBack(shared, policy);
  return select(found, place.base.path, words);
}
