/**
 * Merged lookup: what a name means in a directory that several layers make up. Reads the layers, changes nothing.
 *
 * The order rules are overlayfs': the first layer that has the name decides; a whiteout ends the search; directories of
 * the same name merge downwards until one is opaque or something that is no directory lies below; a redirect moves the
 * search in the layers below to another path.
 */
import { Attr, type ByteName, Errno, S } from "@sluice/vfs";
import type { Core } from "../core.js";
import { statName } from "../layer/host-layer.js";
import { RealDir } from "../layer/real-dir.js";
import { type DirectoryMarks, readDirectoryMarks } from "../marks/directory-marks.js";
import { isWhiteout, isXattrWhiteout } from "../marks/whiteout.js";
import type { Node } from "../node/node.js";

/** Result of the newest search; one object, used again. */
export class Found {
  /** S_IFMT bits; 0: nothing. */
  kind = 0;
  /** Attributes of the topmost object. */
  attr: Attr = new Attr();
  /** Not a directory: where it lies. */
  dir: RealDir | undefined = undefined;
  /** A directory: what it is merged from, top first. */
  dirs: RealDir[] = [];
  /** The upper layer has a whiteout under this name. */
  upperWhiteout = false;
  /** Attributes of the topmost lower directory, where `dirs` has one: the origin of the inode number. */
  lowerIno: { lo: number; hi: number; device: number } | undefined = undefined;
  opaque = false;
}

const marks: DirectoryMarks = { opaque: false, xattrWhiteouts: false, impure: false, redirect: undefined };
const below = new Attr();

/** Searches `name` in `parent`. 0 with found.kind 0 where there is nothing; a positive errno where a layer fails. */
export function find(core: Core, parent: Node, name: ByteName, found: Found): number {
  reset(found);
  const search: Search = { core, found, name, redirect: undefined, stop: false };
  const dirs = parent.dirs as RealDir[];
  for (let i = 0; i < dirs.length; i++) {
    const dir = dirs[i] as RealDir;
    const errno = step(search, dir, search.name);
    if (errno !== 0) return errno;
    if (search.stop) return 0;
    if (search.redirect !== undefined) return followRedirect(search, dir.layer.index + 1);
  }
  return 0;
}

/** Searches in the lower layers of `parent` alone: is there something that a whiteout would have to hide? */
export function existsBelow(core: Core, parent: Node, name: ByteName): boolean {
  for (const dir of parent.dirs ?? []) {
    if (dir.layer.writable) continue;
    const fd = core.fds.of(dir);
    if (fd < 0 || statName(fd, name, below) < 0) continue;
    return !isWhiteout(below) && !(dir.xattrWhiteouts && isXattrWhiteout(core.marks, { dirFd: fd, name }, below));
  }
  return false;
}

interface Search {
  core: Core;
  found: Found;
  /** Changed by a relative redirect: what to look for in the parent's directories of the layers below, wherever those lie. */
  name: ByteName;
  /** Set by an absolute redirect: where to go on in the layers below, from their roots. */
  redirect: ByteName[] | undefined;
  stop: boolean;
}

function reset(found: Found): void {
  found.kind = 0;
  found.dir = undefined;
  found.dirs = [];
  found.upperWhiteout = false;
  found.lowerIno = undefined;
  found.opaque = false;
}

/** Looks at one layer's directory. */
function step(search: Search, dir: RealDir, name: ByteName): number {
  const { core, found } = search;
  const dirFd = core.fds.of(dir);
  if (dirFd < 0) return absent(dirFd);
  const attr = found.kind === 0 ? found.attr : below;
  const status = statName(dirFd, name, attr);
  if (status < 0) return absent(status);
  const whiteout = isWhiteout(attr) || (dir.xattrWhiteouts && isXattrWhiteout(core.marks, { dirFd, name }, attr));
  const kind = attr.mode & S.IFMT;
  if (whiteout || (found.kind !== 0 && kind !== S.IFDIR)) {
    search.stop = true;
    if (whiteout && dir.layer.writable) found.upperWhiteout = true;
    return 0;
  }
  if (found.kind === 0) found.kind = kind;
  if (kind !== S.IFDIR) {
    found.dir = dir;
    search.stop = true;
    return 0;
  }
  return addDirectory(search, { dir, dirFd, name, attr });
}

/** Not there is an answer, not an error; so is a name that this layer cannot hold. */
function absent(status: number): number {
  return status === -Errno.ENOENT || status === -Errno.ENOTDIR || status === -Errno.ENAMETOOLONG ? 0 : -status;
}

function addDirectory(search: Search, at: { dir: RealDir; dirFd: number; name: ByteName; attr: Attr }): number {
  const { core, found } = search;
  const layer = at.dir.layer;
  const real = new RealDir(layer, at.dir, at.name);
  if (layer.index < core.layers.length - 1 || layer.writable) {
    const status = readDirectoryMarks(core.marks, at.dirFd, at.name, marks);
    if (status < 0) return -status;
    real.impure = marks.impure;
    real.xattrWhiteouts = marks.xattrWhiteouts;
    if (marks.opaque) search.stop = true;
    if (marks.opaque && found.dirs.length === 0) found.opaque = true;
    if (marks.redirect !== undefined && !marks.opaque) redirect(search, marks.redirect, 0);
  }
  if (!layer.writable && found.lowerIno === undefined) {
    const words = at.attr.words;
    found.lowerIno = { lo: words[0] as number, hi: words[1] as number, device: layer.deviceIndex };
  }
  found.dirs.push(real);
  return 0;
}

/**
 * A relative redirect is another name in the same merged directory; on a path from the roots, another component of it, with
 * `remaining` ones after it.
 */
function redirect(search: Search, to: NonNullable<DirectoryMarks["redirect"]>, remaining: number): void {
  const path = search.redirect ?? [];
  const at = path.length - remaining - 1;
  const rest = path.slice(at + 1);
  if (to.absolute) search.redirect = [...to.components, ...(remaining === 0 ? [] : rest)];
  else if (search.redirect !== undefined) search.redirect = [...path.slice(0, at), ...to.components, ...rest];
  else search.name = to.components[0] as ByteName;
}

/** Goes on in the layers from `first` downwards along a path from their roots. */
function followRedirect(search: Search, first: number): number {
  const { core } = search;
  for (let index = first; index < core.layers.length && !search.stop; index++) {
    const path = search.redirect as ByteName[];
    let dir: RealDir | undefined = core.layers[index]?.root;
    for (let i = 0; i < path.length - 1 && dir !== undefined; i++) {
      dir = descend(search, { dir, name: path[i] as ByteName, remaining: path.length - 1 - i });
    }
    if (dir === undefined) continue;
    const errno = step(search, dir, path[path.length - 1] as ByteName);
    if (errno !== 0) return errno;
  }
  return 0;
}

/**
 * One component of a redirect's path; undefined where this layer has no such directory. What hides the path in the layers
 * below, something else of that name or an opaque directory, ends the search with this layer; a redirect of its own leads elsewhere in those (ovl_lookup_single).
 */
function descend(search: Search, at: { dir: RealDir; name: ByteName; remaining: number }): RealDir | undefined {
  const { core } = search;
  const { dir, name } = at;
  const fd = core.fds.of(dir);
  if (fd < 0 || statName(fd, name, below) < 0) return undefined;
  const isDirectory = (below.mode & S.IFMT) === S.IFDIR;
  const isMarked = isDirectory && readDirectoryMarks(core.marks, fd, name, marks) === 0;
  if (!isDirectory || (isMarked && marks.opaque)) search.stop = true;
  else if (isMarked && marks.redirect !== undefined) redirect(search, marks.redirect, at.remaining);
  return isDirectory ? new RealDir(dir.layer, dir, name) : undefined;
}
