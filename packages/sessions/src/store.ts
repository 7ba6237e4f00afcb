/** All sessions of the caller: making, finding, listing and removing them. A session appears, and goes, by one rename. */
import { native, readNames, toBytes, toText } from "@sluice/native";
import { inInitialNamespace, failed, unfit } from "@sluice/runtime/cli";
import { AT, Attr, Errno, errnoName, RENAME } from "@sluice/vfs";
import { baseBirth } from "./base-birth.js";
import { checkName, drawHidden, drawName, isName } from "./names.js";
import { holdingLayers, holdingLayersFor, makeUpper, openLayerTree, removeUnused } from "./layers.js";
import { type Checkpoint, removeRecord, type SessionRecord, writeRecord } from "./record.js";
import { removeRestored } from "./restored.js";
import { refuseView, VIEW } from "./dead-view.js";
import { noSession, Session, type State, type TakeNext } from "./session.js";
import { hasShownIds, noteShownIds } from "./shown-ids.js";
import { removeOwn } from "./remove-own.js";
import { below, makePrivate, openPrivate, openState, type Place, REMOVE_SESSION, remedyFor } from "./state-directory.js";

const MAX_DRAWS = 64;
/** Nobody takes so long to make a session, and two may remove the same one. */
const REMAINS_AFTER_S = 3600;
/** In front of the name of one that is half made or half removed. */
const HIDDEN = ".";

function inSessions<T>(make: boolean, use: (sessions: Place) => T): T | undefined {
  const sessions = openState("sessions", make);
  if (sessions === undefined) return undefined;
  try {
    return use(sessions);
  } finally {
    native.close(sessions.fd);
  }
}

function openAt(sessions: Place, name: string): Session | undefined {
  const place = openPrivate(sessions, name);
  if (place === undefined) return undefined;
  try {
    const session = new Session(place);
    if (session.name === name && session.ownerUid === process.geteuid?.()) return session;
    throw unfit(place.path, "the record is that of another session", REMOVE_SESSION);
  } catch (error) {
    native.close(place.fd);
    throw error;
  }
}

/** Discarded sessions are found only if they are wanted, too. */
export interface Wanted {
  discarded?: boolean;
}

/** @throws CliError if there is no such session, or if somebody else could have changed it */
export function openSession(name: string, { discarded = false }: Wanted = {}): Session {
  checkName(name);
  const session = inSessions(false, (sessions) => openAt(sessions, name));
  if (session !== undefined && (discarded || !session.record.discarded)) return session;
  session?.close();
  throw noSession(name);
}

/** Whether only a discarded session has this name. @throws CliError */
export function isDiscarded(name: string): boolean {
  checkName(name);
  const session = inSessions(false, (sessions) => openAt(sessions, name));
  session?.close();
  return session?.record.discarded === true;
}

function namesOf({ fd, path }: Place): string[] {
  const names = readNames(fd);
  if (typeof names === "number") throw failed(path, `the directory cannot be read (${errnoName(-names)})`, "check its disk");
  return names.map(toText).sort();
}

/** Every session; the reason instead of one that cannot be used. The caller closes them. */
export function listSessions({ discarded = false }: Wanted = {}): { name: string; session: Session | Error }[] {
  const open = (sessions: Place, name: string): { name: string; session: Session | Error }[] => {
    try {
      const session = openAt(sessions, name);
      if (session !== undefined && (discarded || !session.record.discarded)) return [{ name, session }];
      session?.close();
      return [];
    } catch (error) {
      return [{ name, session: error as Error }];
    }
  };
  return (
    inSessions(false, (sessions) =>
      namesOf(sessions)
        .filter(isName)
        .flatMap((name) => open(sessions, name)),
    ) ?? []
  );
}

/** The root of an upper layer is that of the view: it looks like the directory itself. */
function likeBase(fd: number, name: string, base: string): void {
  const attr = new Attr();
  const status = native.statx(AT.FDCWD, toBytes(base), 0, attr.words);
  if (status < 0) throw unfit(base, `the directory cannot be read (${errnoName(-status)})`, "name a directory that can be read");
  // An ordinary user cannot give it away, and needs not.
  native.fchownat(fd, name, attr.uid, attr.gid, AT.SYMLINK_NOFOLLOW);
  native.fchmodat(fd, name, attr.mode & 0o7777, AT.SYMLINK_NOFOLLOW);
}

/** Removes the remains of sessions that were half made or half removed when a program was killed. */
function sweep(sessions: Place): void {
  const attr = new Attr();
  for (const name of namesOf(sessions)) {
    if (!name.startsWith(HIDDEN) || native.statx(sessions.fd, toBytes(name), AT.SYMLINK_NOFOLLOW, attr.words) < 0) continue;
    if (attr.mtimeSec < Date.now() / 1000 - REMAINS_AFTER_S) removeOwn(sessions.fd, toBytes(name));
  }
}

function fill(place: Place, record: SessionRecord, toDisk: boolean): void {
  // A view of $HOME makes the parts of `home` that it needs.
  for (const name of ["home", "work", VIEW]) makePrivate(place, name);
  const [top] = record.layers;
  if (top === undefined) {
    makePrivate(place, "upper");
    likeBase(place.fd, "upper", record.base);
  } else {
    const tree = openLayerTree(top, record.userXattr);
    makeUpper(place, tree);
    native.close(tree.fd);
  }
  writeRecord(place, record, { toDisk });
}

/** Works in the directory of a new session before anybody finds it. */
export type Prepare = (directory: Place) => void;

interface New {
  wanted: string | undefined;
  record: SessionRecord;
  prepare: Prepare;
  /** False: the caller writes the record to its disk, by `Session.sync`. */
  toDisk: boolean;
}

/** Renames a hidden directory to the wanted name, or to one that is drawn. @returns it. @throws CliError if it is taken */
function publish(sessions: Place, hidden: string, { wanted, record, prepare, toDisk }: New): string {
  const place = openPrivate(sessions, hidden);
  if (place === undefined) throw failed(sessions.path, "a new session vanished (ENOENT)", "run the command again");
  try {
    prepare(place);
    for (let draw = 1; draw <= MAX_DRAWS; draw++) {
      const name = wanted ?? drawName();
      if (draw === 1) fill(place, { ...record, name }, toDisk);
      else writeRecord(place, { ...record, name }, { toDisk });
      const status = native.renameat2(sessions.fd, hidden, sessions.fd, name, RENAME.NOREPLACE);
      if (status >= 0) return name;
      if (status !== -Errno.EEXIST)
        throw failed(below(sessions, name).path, `the session cannot be created (${errnoName(-status)})`, remedyFor(status, "make room"));
      if (wanted !== undefined) throw unfit(wanted, "a session with this name exists (EEXIST)", "give another name, or --resume it");
    }
  } finally {
    native.close(place.fd);
  }
  throw failed(sessions.path, "every name that was drawn is taken (EEXIST)", "discard sessions, or give one a name with --name");
}

/**
 * The caller lets nothing begin in it before `Session.sync`.
 * @param base an absolute path of a directory; `name`: drawn if it is undefined. @throws CliError
 */
export function createSession(
  base: string,
  { name, command, policy }: { name: string | undefined; command: readonly string[]; policy: string },
): Session {
  if (name !== undefined) checkName(name);
  const ownerUid = process.geteuid?.() ?? 0;
  const userXattr = ownerUid !== 0 || !inInitialNamespace();
  return make(
    {
      ...{ version: 1, name: "", base, baseBorn: baseBirth(base), ownerUid, userXattr, created: new Date().toISOString() },
      ...{ begun: null, snapshot: null, layers: [], homeLayers: [], checkpoints: [], discarded: false },
      ...{ command, policy, runner: null },
    },
    { wanted: name, prepare: () => undefined, toDisk: false },
  );
}

function make(record: SessionRecord, how: Omit<New, "record">): Session {
  const made = inSessions(true, (sessions) => {
    sweep(sessions);
    const hidden = `${HIDDEN}${drawHidden()}`;
    if (!makePrivate(sessions, hidden))
      throw failed(sessions.path, "the name of a new directory is taken (EEXIST)", "run the command again");
    try {
      return openAt(sessions, publish(sessions, hidden, { ...how, record }));
    } finally {
      removeOwn(sessions.fd, hidden);
    }
  });
  if (made === undefined) throw failed("sessions", "the new session vanished (ENOENT)", "run the command again");
  return made;
}

/**
 * Makes a session that begins with the changes of another one, or of a checkpoint of it. This process has locked the other one, or it is
 * a checkpoint's.
 * `name`: drawn if it is undefined. @throws CliError
 */
export async function forkSession(
  session: Session,
  { name, checkpoint, prepare }: { name: string | undefined; checkpoint: string | undefined; prepare?: Prepare },
): Promise<Session> {
  if (name !== undefined) checkName(name);
  if (checkpoint === undefined) session.freeze();
  return holdingLayersFor(() => {
    session.readAgain();
    const { layers, homeLayers } = checkpoint === undefined ? session.record : findCheckpoint(session, checkpoint);
    return makeFork(session, { layers, homeLayers }, { name, prepare });
  });
}

/** Its layers may have objects without the ids that they should have: see shown-ids.ts. */
function makeFork(
  session: Session,
  state: ForkedState,
  { name, prepare }: { name: string | undefined; prepare: Prepare | undefined },
): Session {
  return make(forked(session, state), {
    wanted: name,
    prepare: (directory) => {
      if (hasShownIds(session.place)) noteShownIds(directory);
      prepare?.(directory);
    },
    toDisk: true,
  });
}

type ForkedState = Partial<Pick<State, "begun">> & Omit<State, "begun">;

function forked({ record }: Session, state: ForkedState): SessionRecord {
  return { ...record, ...state, name: "", created: new Date().toISOString(), checkpoints: [], runner: null };
}

/** Runs work while nothing changes the upper layer of a session, and resolves to its result. */
export type WhileHeld = <T>(work: () => Promise<T>) => Promise<T>;

/** The mount of a session that a command works in. */
export interface RunningMount {
  take: TakeNext;
  whileHeld: WhileHeld;
}

/** The changes become a layer that both sessions show; they are copied if the mount cannot do without its upper layer. */
async function stateOfRunning(session: Session, { take, whileHeld }: RunningMount): Promise<State> {
  return (await session.freezeRunning(take)) ?? (await whileHeld(() => session.copyChanges()));
}

/** The same while a command works in the session. @throws CliError */
export async function forkRunning(
  session: Session,
  mount: RunningMount,
  { name, prepare }: { name: string | undefined; prepare?: Prepare },
): Promise<Session> {
  if (name !== undefined) checkName(name);
  return withoutRemains(async () => makeFork(session, await stateOfRunning(session, mount), { name, prepare }));
}

/** Removes a copy that nothing shows, since the work failed. */
async function withoutRemains<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await holdingLayersFor(work);
  } catch (error) {
    removeUnusedLayers();
    throw error;
  }
}

/** @throws CliError if the session has it */
function checkFree({ name, record }: Session, checkpoint: string): void {
  checkName(checkpoint);
  if (record.checkpoints.some((other) => other.name === checkpoint))
    throw unfit(`${name}@${checkpoint}`, "a checkpoint with this name exists (EEXIST)", "give another name, or discard it");
}

function setCheckpoint(session: Session, name: string, { layers, homeLayers }: ForkedState): void {
  session.setCheckpoints([...session.record.checkpoints, { name, created: new Date().toISOString(), layers, homeLayers }]);
}

/** Notes the state of a session that this process has locked. `prepare` is called before the session has the checkpoint. @throws CliError */
export function addCheckpoint(session: Session, name: string, prepare: () => void = () => undefined): void {
  checkFree(session, name);
  session.freeze();
  holdingLayers(() => {
    session.readAgain();
    checkFree(session, name);
    prepare();
    setCheckpoint(session, name, session.record);
  });
}

/** The same while a command works in the session. @throws CliError */
export async function addCheckpointRunning(
  session: Session,
  mount: RunningMount,
  { name, prepare }: { name: string; prepare(): void },
): Promise<void> {
  await withoutRemains(async () => {
    session.readAgain();
    checkFree(session, name);
    const state = await stateOfRunning(session, mount);
    prepare();
    setCheckpoint(session, name, state);
  });
}

/** @throws CliError if the session has no such checkpoint */
export function findCheckpoint({ name, record }: Session, wanted: string): Checkpoint {
  const found = record.checkpoints.find((checkpoint) => checkpoint.name === wanted);
  if (found !== undefined) return found;
  const names = record.checkpoints.map((checkpoint) => checkpoint.name);
  throw unfit(
    `${name}@${wanted}`,
    "there is no such checkpoint (ENOENT)",
    names.length === 0 ? "make one with 'sluice checkpoint'" : `name one of ${names.join(", ")}`,
  );
}

/** Removes a checkpoint of a session that this process has locked. Its changes stay if others show them. @throws CliError */
export function removeCheckpoint(session: Session, name: string): void {
  holdingLayers(() => {
    session.readAgain();
    findCheckpoint(session, name);
    session.setCheckpoints(session.record.checkpoints.filter((checkpoint) => checkpoint.name !== name));
  });
  removeUnusedLayers();
}

/** The layers of all sessions and checkpoints; undefined if a record cannot be read: then any layer may be in use. */
function usedLayers(sessions: Place): ReadonlySet<string> | undefined {
  const used = new Set<string>();
  for (const name of namesOf(sessions).filter(isName)) {
    try {
      const session = openAt(sessions, name);
      if (session === undefined) continue;
      if (session.record.snapshot !== null) used.add(session.record.snapshot);
      const states = [session.record, ...session.record.checkpoints];
      for (const layer of states.flatMap(({ layers, homeLayers }) => [...layers, ...homeLayers])) used.add(layer);
      session.close();
    } catch {
      return undefined; // 'sluice sessions' tells of it
    }
  }
  return used;
}

/** Removes the layers that no session and no checkpoint shows any longer. @throws CliError */
export function removeUnusedLayers(): void {
  holdingLayers((layers) => inSessions(false, (sessions) => removeUnused(layers, () => usedLayers(sessions))));
}

/** The directories of all sessions. */
function basesOfAll(): ReadonlySet<string> {
  const all = listSessions({ discarded: true }).flatMap(({ session }) => (session instanceof Error ? [] : [session]));
  for (const session of all) session.close();
  return new Set(all.map(({ base }) => base));
}

/**
 * Removes a session that this process has locked, with its changes, at any depth. Layers that others show stay. If this is killed, the
 * next call removes what it left. @throws CliError
 */
export function removeSession(session: Session): void {
  refuseView(session.place);
  inSessions(false, (sessions) => {
    const hidden = `${HIDDEN}${drawHidden()}`;
    const remove = (): number => native.renameat2(sessions.fd, session.name, sessions.fd, hidden, RENAME.NOREPLACE);
    const status = holdingLayers(remove);
    if (status < 0)
      throw failed(session.directory, `the session cannot be removed (${errnoName(-status)})`, remedyFor(status, "check its disk"));
    removeRecord(session.place);
    const removal = removeOwn(sessions.fd, hidden);
    if (removal.status < 0)
      throw failed(below(sessions, removal.path).path, `it cannot be removed (${errnoName(-removal.status)})`, "remove it by hand");
  });
  removeUnusedLayers();
  removeRestored(basesOfAll);
}
