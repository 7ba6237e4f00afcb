/**
 * The frozen layers of sessions, in $XDG_STATE_HOME/sluice/layers: each has the parts that a session had when it was forked. Several sessions
 * and checkpoints may name a layer. It is removed when no record names it any longer. Nothing writes in a layer.
 */
import { furnish, furnitureOf, LayerStack, readAsMount, type Tree, treeOf } from "@sluice/layer-tools";
import { LOCK, native, openBeneath, readNames, toText } from "@sluice/native";
import { failed, unfit } from "@sluice/runtime/cli";
import { AT, Attr, Errno, errnoName, O, RENAME } from "@sluice/vfs";
import { drawHidden, isLayerName } from "./names.js";
import type { SessionRecord } from "./record.js";
import { removeOwn } from "./remove-own.js";
import {
  below,
  makePrivate,
  openLock,
  openPrivate,
  openState,
  type Place,
  REMOVE_SESSION,
  remedyFor,
  remedyIfGone,
} from "./state-directory.js";

/** The parts of a session, and their names in a layer. A work directory belongs to the upper layer that it was made for. */
const TREE_PARTS: Moves = [
  ["upper", "upper"],
  ["work", "work"],
  ["base", "base"],
];
const HOME_PARTS: Moves = [
  ["home/upper", "home"],
  ["home/work", "home-work"],
];
type Moves = readonly (readonly [from: string, to: string])[];

const LOCK_FILE = ".lock";
const PAUSE_MS = 5;
/** In front of the name of a layer whose parts are being moved. */
const HIDDEN = ".";
/** In the directory of a session: one layer that shows what several showed, complete; and a part that it replaces. */
export const MERGED = "merged";
export const MERGED_PARTS = ["base", "upper"] as const;
const STALE = "stale";
const NEXT_UPPER = "upper.next";
/**
 * In the directory of a session that a command works in: an empty upper layer with a work directory and a record of the base, and the name that
 * the mount gives it when it uses them. From then on nothing changes the present ones.
 */
export const NEXT = "next";
export const TAKEN = "taken";
const OWN_PARTS = ["base", "work", "upper"] as const;

export function inLayers<T>(use: (layers: Place) => T): T {
  const layers = openState("layers", true);
  if (layers === undefined) throw failed("layers", "their new directory vanished (ENOENT)", "run the command again");
  try {
    return use(layers);
  } finally {
    native.close(layers.fd);
  }
}

/** @returns a descriptor that holds the lock; undefined: another process has it, and `kind` does not wait */
function lockLayers(layers: Place, kind: number): number | undefined {
  const fd = openLock(layers.fd, LOCK_FILE);
  const status = fd < 0 ? fd : native.flock(fd, kind);
  if (status >= 0) return fd;
  if (fd >= 0) native.close(fd);
  if (status === -Errno.EAGAIN) return undefined;
  throw failed(layers.path, `the layers cannot be locked (${errnoName(-status)})`, remedyFor(status, "check its disk"));
}

/** While it runs nobody else removes a layer, nor a session. It does not run within itself. */
export function holdingLayers<T>(use: (layers: Place) => T): T {
  return inLayers((layers) => {
    const fd = lockLayers(layers, LOCK.EX) as number; // it waits
    try {
      return use(layers);
    } finally {
      native.close(fd);
    }
  });
}

/** The same for work that waits. Signals are heard while another process holds them. */
export async function holdingLayersFor<T>(work: () => T | Promise<T>): Promise<T> {
  const tryLock = (): number | undefined => inLayers((layers) => lockLayers(layers, LOCK.EX | LOCK.NB));
  let fd = tryLock();
  for (; fd === undefined; fd = tryLock()) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  try {
    return await work();
  } finally {
    native.close(fd);
  }
}

function exists({ fd }: Place, name: string): boolean {
  return native.statx(fd, name, AT.SYMLINK_NOFOLLOW, new Attr().words) >= 0;
}

function move(from: Place, name: string, to: Place & { name: string }): void {
  const status = native.renameat2(from.fd, name, to.fd, to.name, RENAME.NOREPLACE);
  if (status < 0) throw failed(below(from, name).path, `it cannot be renamed (${errnoName(-status)})`, "check its disk");
}

function sync({ fd, path }: Place): void {
  const status = native.fsync(fd);
  if (status < 0) throw failed(path, `the directory cannot be synced (${errnoName(-status)})`, "check its disk");
}

/** Opens a directory of the caller alone in an open one, and closes it at the end. */
function inside<T>(at: Place, name: string, use: (place: Place) => T): T {
  const place = openPrivate(at, name);
  if (place === undefined) throw unfit(below(at, name).path, "the directory is missing (ENOENT)", "discard the session");
  try {
    return use(place);
  } finally {
    native.close(place.fd);
  }
}

/** Moves parts of a session into a layer. It can be repeated: the next call continues a killed one. */
function moveInto(layers: Place, name: string, { session, parts }: { session: Place; parts: Moves }): void {
  if (exists(layers, name)) return;
  // A crash of the machine must not lose the record alone: a layer that no record names is removed.
  sync(session);
  const half = HIDDEN + name;
  makePrivate(layers, half);
  inside(layers, half, (layer) => {
    for (const [from, to] of parts) if (exists(session, from)) move(session, from, { ...layer, name: to });
    sync(layer);
  });
  move(layers, half, { ...layers, name });
  sync(layers);
}

/** Makes a layer that is complete when it has its name. */
export async function publishLayer(name: string, fill: (layer: Place) => Promise<void>): Promise<void> {
  const layers = openState("layers", true);
  if (layers === undefined) throw failed("layers", "their new directory vanished (ENOENT)", "run the command again");
  const half = HIDDEN + name;
  makePrivate(layers, half);
  const layer = openPrivate(layers, half);
  try {
    if (layer === undefined) throw failed(below(layers, half).path, "the new directory vanished (ENOENT)", "run the command again");
    await fill(layer);
    move(layers, half, { ...layers, name });
  } finally {
    if (layer !== undefined) native.close(layer.fd);
    native.close(layers.fd);
  }
}

/** Finishes what a killed `freeze` began: the record names the layer, but the parts may not be there yet. The session is locked. */
export function completeFreeze(session: Place, { layers: names, homeLayers }: SessionRecord): void {
  const newest = [...new Set([names[0], homeLayers[0]].filter((name) => name !== undefined))];
  if (newest.length === 0) return;
  inLayers((layers) => {
    for (const name of newest) {
      const parts = [...(name === names[0] ? TREE_PARTS : []), ...(name === homeLayers[0] ? HOME_PARTS : [])];
      moveInto(layers, name, { session, parts });
    }
  });
}

/** Makes what a mount in use may take. It replaces one that was not taken. */
export function prepareNext(session: Place): void {
  removeNext(session);
  makePrivate(session, NEXT);
  inside(session, NEXT, (next) => {
    for (const part of OWN_PARTS) makePrivate(next, part);
  });
}

export function removeNext(session: Place): void {
  removeOwn(session.fd, NEXT);
}

/** Whether the mount has taken the next upper layer, and the names on disk do not show it yet. */
export function hasTaken(session: Place): boolean {
  return exists(session, TAKEN);
}

/** Whether the record of the session is still to name the layer that the upper one has become. */
export function isUnnamed(session: Place, { layers: [top] }: SessionRecord): boolean {
  const moved = !exists(session, "upper") || !inside(session, TAKEN, (taken) => exists(taken, "upper"));
  return !moved && (top === undefined || inLayers((layers) => exists(layers, top)));
}

/**
 * The upper layer becomes the newest layer of the record, which names it already; the one that the mount has taken becomes the upper layer. It
 * can be repeated: the next call continues a killed one. The upper layer comes last: while it is in the directory TAKEN, the rest follows.
 */
export function completeTaken(session: Place, { layers: [name] }: SessionRecord): void {
  if (name === undefined) throw failed(session.path, "its record names no layer (EINVAL)", REMOVE_SESSION);
  inLayers((layers) => moveInto(layers, name, { session, parts: TREE_PARTS }));
  inside(session, TAKEN, (taken) => {
    for (const part of OWN_PARTS) if (exists(taken, part)) move(taken, part, { ...session, name: part });
  });
  sync(session);
  removeOwn(session.fd, TAKEN);
}

/** Whether `mergeLayers` wrote one layer in place of all, or left a part that it replaced. */
export function hasMerged(session: Place): boolean {
  return exists(session, MERGED) || exists(session, STALE);
}

/** Finishes a `mergeLayers` of a session, also a killed one. `forget` takes the layers out of its record. The session is locked. */
export function completeMerge(session: Place, forget: () => void): void {
  if (exists(session, MERGED)) {
    forget();
    inside(session, MERGED, (merged) => {
      for (const part of MERGED_PARTS.filter((name) => exists(merged, name))) {
        removeOwn(session.fd, STALE);
        if (exists(session, part)) move(session, part, { ...session, name: STALE });
        move(merged, part, { ...session, name: part });
      }
    });
    sync(session);
    removeOwn(session.fd, "work");
    removeOwn(session.fd, MERGED);
  }
  if (exists(session, STALE)) removeOwn(session.fd, STALE);
}

/** A new upper layer whose root looks like that of the layer below: it is the root of the view. */
export function makeUpper(session: Place, like: Tree): void {
  removeOwn(session.fd, NEXT_UPPER);
  makePrivate(session, NEXT_UPPER);
  const fd = openBeneath(session.fd, NEXT_UPPER, O.RDONLY | O.DIRECTORY, 0);
  if (fd < 0) throw failed(below(session, NEXT_UPPER).path, `it cannot be opened (${errnoName(-fd)})`, "check its disk");
  try {
    const stack = new LayerStack([like]);
    furnish(furnitureOf({ stack, path: "", object: stack.rootOf({ layer: 0, path: "" }) }), fd);
  } finally {
    native.close(fd);
  }
  move(session, NEXT_UPPER, { ...session, name: "upper" });
}

/** Opens the tree of a frozen layer. The caller closes it. @throws CliError */
export function openLayerTree(name: string, userXattr: boolean): Tree {
  return inLayers((layers) =>
    inside(layers, name, (layer) => {
      const { path } = below(layer, "upper");
      readAsMount(userXattr);
      const fd = openBeneath(layer.fd, "upper", O.RDONLY | O.DIRECTORY, 0);
      if (fd < 0) {
        const problem = `this layer of the session cannot be opened (${errnoName(-fd)})`;
        throw unfit(path, problem, remedyIfGone(fd, "discard the session"));
      }
      return treeOf(path, fd, userXattr);
    }),
  );
}

/** Opens the record of the base in a layer. The caller closes it. @returns undefined if there is none. @throws CliError */
export function openLayerRecord(name: string): number | undefined {
  return inLayers((layers) => inside(layers, name, (layer) => openPrivate(layer, "base")?.fd));
}

/** The path of a part of a layer, for programs that take no descriptor. */
export function layerPath(name: string, part: "upper" | "home"): string {
  return inLayers((layers) => `${below(layers, name).path}/${part}`);
}

export const drawLayer = drawHidden;

/** Removes the layers that no record names. `used` is called after they have been listed; undefined if a record cannot be read. */
export function removeUnused(layers: Place, used: () => ReadonlySet<string> | undefined): void {
  const names = readNames(layers.fd);
  if (typeof names === "number") throw failed(layers.path, `the directory cannot be read (${errnoName(-names)})`, "check its disk");
  const listed = names.map(toText);
  const inUse = used();
  if (inUse === undefined) return;
  for (const name of listed) {
    const layer = name.startsWith(HIDDEN) ? name.slice(HIDDEN.length) : name;
    if (!isLayerName(layer) || inUse.has(layer)) continue;
    const { status, path } = removeOwn(layers.fd, name);
    if (status < 0 && status !== -Errno.ENOENT)
      throw failed(below(layers, path).path, `it cannot be removed (${errnoName(-status)})`, "remove it by hand");
  }
}
