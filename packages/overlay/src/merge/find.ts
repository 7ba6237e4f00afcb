/**
 * Merged lookup: finds the object of a name in a directory that several layers make up. Reads the layers, changes nothing.
 *
 * The order rules are overlayfs' (fs/overlayfs/namei.c): the first layer that has the name decides; a whiteout ends the
 * search; directories of the same name merge downwards until one is opaque or another kind of object lies below;
 * a redirect moves the search in the layers below to another path; a metadata-only copy goes on until its data is found.
 */
import { Attr, type ByteName, Errno, S } from "@sluice/vfs";
import type { MergedLayers } from "./merged-layers.js";
import { DataLocation } from "../layer/data-location.js";
import { statName, statNameWith } from "../layer/system-calls.js";
import { deviceNumber, RealDir } from "../layer/host-layer.js";
import { type DirectoryMarks, readDirectoryMarks } from "../marks/directory-marks.js";
import { isForeignMark, isHiddenByFile } from "../marks/foreign-marks.js";
import { isMetacopyBy } from "../marks/metacopy.js";
import { readRedirect } from "../marks/redirect.js";
import { isAnyWhiteout } from "../marks/whiteout.js";
import type { Found } from "../node/found.js";
import type { Node } from "../node/node.js";
import { missed } from "./known-absence.js";
import { Search } from "./search.js";

const marks: DirectoryMarks = { opaque: false, xattrWhiteouts: false, impure: false, redirect: undefined };
const below = new Attr();
/** The hit that is being added. A search never waits, so one object serves all. */
let spareHit: Hit | undefined;
let spareSearch: Search | undefined;

/** Searches `name` in `parent`. 0, with found.kind 0 if there is nothing; a positive errno if a layer fails. */
export function find(core: MergedLayers, parent: Node, name: ByteName, found: Found): number {
  found.reset();
  if (core.marks.foreign && isForeignMark(name)) return 0;
  const search = (spareSearch ??= new Search(core, found)).begin(core, found, name);
  const errno = walk(search, parent.dirs as RealDir[]);
  if (errno === 0 && search.wantsData) return findDataOnly(search);
  return errno;
}

function walk(search: Search, dirs: readonly RealDir[]): number {
  for (let i = 0; i < dirs.length; i++) {
    const dir = dirs[i] as RealDir;
    const errno = followRefusal(search) || step(search, dir, search.name);
    if (errno !== 0 || search.stop) return errno;
    if (search.path !== undefined) return meansNothing(search, dirs, i) ? 0 : followPath(search, dir.layer.index + 1);
  }
  return 0;
}

/**
 * Without redirects, a directory in the last of its parent's directories has nothing to merge with, and its redirect is ignored
 * (fs/overlayfs/namei.c, ovl_lookup_data.last).
 */
function meansNothing({ core, found }: Search, dirs: readonly RealDir[], at: number): boolean {
  return core.config.redirectDir === "nofollow" && found.kind === S.IFDIR && at === dirs.length - 1;
}

/**
 * Searches in the lower layers of `parent` alone: is there something that a whiteout would have to hide? A layer that cannot be read
 * may have it (fs/overlayfs/namei.c ovl_lower_positive): a whiteout too many hides nothing.
 */
export function existsBelow(core: MergedLayers, parent: Node, name: ByteName): boolean {
  for (const dir of parent.dirs ?? []) {
    if (dir.layer.writable) continue;
    const fd = core.fds.of(dir);
    const status = fd < 0 ? fd : statName(fd, name, below);
    if (status >= 0) return !isAnyWhiteout(core.marks, { dirFd: fd, name }, below);
    if (absent(status) !== 0) return true;
    if (fd >= 0 && core.marks.foreign && isHiddenByFile(fd, name)) return false;
  }
  return false;
}

/** EPERM if the mount follows no redirect or no metadata-only copy, as in overlayfs; else 0. */
function followRefusal(search: Search): number {
  const { config } = search.core;
  if (search.wantsData && !config.metacopy) return Errno.EPERM;
  return search.redirected && config.redirectDir === "nofollow" ? Errno.EPERM : 0;
}

/** Looks at one layer's directory. */
function step(search: Search, dir: RealDir, name: ByteName): number {
  const { core, found } = search;
  if (search.redirected && leadsUp(name)) return Errno.EACCES;
  if (dir.filter?.lacks(name) === true) return 0;
  const dirFd = core.fds.of(dir);
  if (dirFd < 0) return absent(dirFd);
  const attr = found.kind === 0 ? found.attr : below;
  // Most names are of files, which are asked for the mark of a metadata-only copy anyway.
  const status = statNameWith(dirFd, name, attr, dir.layer.writable ? core.marks.askedInUpper : core.marks.askedBelow);
  if (status < 0) {
    if (core.marks.foreign && isHiddenByFile(dirFd, name)) search.stop = true;
    else if (status === -Errno.ENOENT) missed(core, dir, dirFd);
    return absent(status);
  }
  const kind = attr.mode & S.IFMT;
  const wanted = found.kind === 0 || (search.wantsData ? kind === S.IFREG : kind === S.IFDIR);
  if (!wanted || isAnyWhiteout(core.marks, { dirFd, name }, attr)) {
    search.stop = true;
    return 0;
  }
  if (found.kind === 0) {
    found.kind = kind;
    found.isProtected = status === 1;
  }
  if (kind !== S.IFDIR && kind !== S.IFREG) return addObject(search, dir);
  const at = (spareHit ??= { dir, dirFd, name, attr });
  at.dir = dir;
  at.dirFd = dirFd;
  at.name = name;
  at.attr = attr;
  return kind === S.IFDIR ? addDirectory(search, at) : addFile(search, at);
}

function leadsUp(name: ByteName): boolean {
  return name === "." || name === "..";
}

/** Not there is an answer, not an error; so is a name that this layer cannot hold. */
function absent(status: number): number {
  return status === -Errno.ENOENT || status === -Errno.ENOTDIR || status === -Errno.ENAMETOOLONG ? 0 : -status;
}

interface Hit {
  dir: RealDir;
  dirFd: number;
  name: ByteName;
  attr: Attr;
}

function addObject(search: Search, dir: RealDir): number {
  search.found.dir = dir;
  search.stop = true;
  return 0;
}

/** A regular file: the object itself, or the data of the metadata-only copies above it. */
function addFile(search: Search, at: Hit): number {
  const { core, found } = search;
  const metacopy = isMetacopyBy(at.attr.attributeLength);
  if (metacopy < 0) return -metacopy;
  if (found.dir === undefined) found.dir = at.dir;
  if (metacopy === 0) {
    if (search.wantsData) found.data = new DataLocation(at.dir, at.name);
    search.wantsData = false;
    search.stop = true;
    return 0;
  }
  search.wantsData = true;
  search.absolute = false;
  if (isLast(core, at.dir) && core.dataLayers.length === 0) return 0;
  const redirect = readRedirect(core.marks, at.dirFd, at.name);
  if (typeof redirect === "number") return -redirect;
  if (redirect !== undefined) search.redirect(redirect, 0);
  return 0;
}

/** Below the last layer nothing is looked for: its marks mean nothing. */
function isLast(core: MergedLayers, dir: RealDir): boolean {
  return !dir.layer.writable && dir.layer.index === core.layers.length - 1;
}

/** No layer of the tree has the data. If there are data-only layers, an absolute redirect leads into them. */
function findDataOnly(search: Search): number {
  const { core, found } = search;
  if (search.absolute && core.dataLayers.length > 0) {
    found.data = new DataLocation(undefined, (search.path as ByteName[]).join("/"));
    return 0;
  }
  return followRefusal(search) || Errno.EIO;
}

function addDirectory(search: Search, at: Hit): number {
  const { core, found } = search;
  if (core.traps.catches(at.attr)) return Errno.ELOOP;
  const layer = at.dir.layer;
  const real = new RealDir(layer, at.dir, at.name);
  real.inoLo = at.attr.words[0] as number;
  real.inoHi = at.attr.words[1] as number;
  real.device = deviceNumber(at.attr);
  if (!isLast(core, at.dir)) {
    const status = readDirectoryMarks(core.marks, at.dirFd, at.name, marks);
    if (status < 0) return -status;
    real.impure = marks.impure;
    real.xattrWhiteouts = marks.xattrWhiteouts && !layer.writable;
    if (marks.opaque) search.stop = true;
    if (marks.opaque && found.dirs.length === 0) found.opaque = true;
    if (marks.redirect !== undefined && !marks.opaque) search.redirect(marks.redirect, 0);
  }
  if (!layer.writable && (found.lowerIno === undefined || isLastOurs(found))) {
    const words = at.attr.words;
    // A pure lower directory is at its path: nothing else can be there.
    const path = found.dirs.length === 0 ? [] : real.components();
    found.lowerIno = { lo: words[0] as number, hi: words[1] as number, device: layer.deviceIndex, path };
  }
  found.dirs.push(real);
  return 0;
}

/** Lies the directory above the present one in a layer that was the upper one before? Then the number is that of an older one. */
function isLastOurs({ dirs }: Found): boolean {
  return (dirs[dirs.length - 1] as RealDir).layer.isOurs;
}

/** Goes on in the layers from `first` downwards along a path from their roots. */
function followPath(search: Search, first: number): number {
  const { core } = search;
  for (let index = first; index < core.layers.length && !search.stop; index++) {
    const refused = followRefusal(search);
    if (refused !== 0) return refused;
    const path = search.path as ByteName[];
    let dir: RealDir | undefined | number = core.layers[index]?.root;
    for (let i = 0; i < path.length - 1 && dir instanceof RealDir; i++) {
      dir = descend(search, { dir, name: path[i] as ByteName, remaining: path.length - 1 - i });
    }
    if (typeof dir === "number") return dir;
    if (dir === undefined) continue;
    const errno = step(search, dir, path[path.length - 1] as ByteName);
    if (errno !== 0) return errno;
  }
  return 0;
}

/**
 * Follows one component of a redirect's path. Undefined if this layer has no such directory, a positive errno if it cannot be
 * followed. Another kind of object of that name, or an opaque directory, hides the path in the layers below and ends the search
 * with this layer. A redirect of the directory leads elsewhere in those layers (ovl_lookup_single).
 */
function descend(search: Search, at: { dir: RealDir; name: ByteName; remaining: number }): RealDir | undefined | number {
  const { core } = search;
  const { dir, name } = at;
  if (leadsUp(name)) return Errno.EACCES;
  const fd = core.fds.of(dir);
  const found = fd < 0 ? fd : statName(fd, name, below);
  if (found < 0) {
    if (fd >= 0 && core.marks.foreign && isHiddenByFile(fd, name)) search.stop = true;
    return absent(found) || undefined;
  }
  if ((below.mode & S.IFMT) !== S.IFDIR) {
    search.stop = true;
    return undefined;
  }
  if (core.traps.catches(below)) return Errno.ELOOP;
  if (!isLast(core, dir)) {
    const status = readDirectoryMarks(core.marks, fd, name, marks);
    if (status < 0) return -status;
    if (marks.opaque) search.stop = true;
    else if (marks.redirect !== undefined) search.redirect(marks.redirect, at.remaining);
  }
  return new RealDir(dir.layer, dir, name);
}
