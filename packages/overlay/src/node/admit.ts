/** From the result of a search to a node: the known one, or a new one, with its inode number. */
import type { Attr, ByteName } from "@sluice/vfs";
import { S } from "@sluice/vfs";
import type { OverlayConfig } from "../contract/config.js";
import { DataLocation } from "../layer/data-location.js";
import { type HostLayer, RealDir } from "../layer/host-layer.js";
import type { LayerStack } from "../layer/layer-stack.js";
import { closeFd } from "../layer/system-calls.js";
import { isMetacopy } from "../marks/metacopy.js";
import { readOrigin } from "../marks/origin.js";
import { type Indexed, type LinkIndex, lookUpIndex, repairNlink } from "./link-index.js";
import type { Found } from "./found.js";
import type { Node } from "./node.js";
import type { NodeJournal } from "./node-ports.js";
import type { NodeTable } from "./node-table.js";
import { adoptProtection } from "./protection.js";
import type { OriginClaims } from "./origin-claims.js";

const HIGH_WORD = 0x1_0000_0000;
/** Bits of the high word that carry the device's index where layers lie on several devices. */
const DEVICE_SHIFT = 24;

/** The tables that a new node is entered in, and the layers that it is found in. */
export interface Admission extends LinkIndex, Pick<LayerStack, "upper" | "severalDevices"> {
  readonly config: Pick<OverlayConfig, "sharedLower">;
  readonly nodes: NodeTable;
  readonly root: Node;
  readonly claims: OriginClaims;
  readonly journal: Pick<NodeJournal, "nameless"> | undefined;
}

/** The node of the object that was found under `name`: the known one, or a new one. */
export function admit(core: Admission, at: { parent: Node; name: ByteName }, found: Found): Node {
  const { attr } = found;
  const shared = found.kind !== S.IFDIR && attr.nlink > 1;
  const indexed = shared ? lookUpIndex(core, found, at.name) : undefined;
  if (indexed !== undefined) return admitIndexed(core, at, { found, indexed, name: at.name });
  const known = shared ? knownLink(core, found) : lastLink(core, found);
  if (known !== undefined && known.kind === found.kind) {
    if (known.fd >= 0) nameAgain(core, known, { dir: found.dir, name: at.name });
    core.nodes.attach(known, at.parent, at.name);
    return known;
  }
  const node = core.nodes.make(found.kind);
  place(core, node, at.name, found);
  core.nodes.recall(node, at.parent, at.name);
  core.nodes.attach(node, at.parent, at.name);
  if (shared) rememberLinks(core, node, attr);
  return node;
}

/** The node of another name of the same file. In a lower layer only where names do not part when one is copied up. */
function knownLink(core: Admission, found: Found): Node | undefined {
  const dir = found.dir as RealDir;
  if (dir.layer.writable) return dir.layer.isNested(found.attr) ? undefined : core.nodes.linked(found.attr.ino);
  if (core.linkIndex === undefined && core.upper !== undefined) return undefined;
  return core.nodes.lowerLinks(dir.layer.fileKey(found.attr))?.values().next().value;
}

/**
 * A name that is the only one left is of a node we know by names it lost, if that is still open: its descriptor keeps the
 * inode number from being another file's.
 */
function lastLink(core: Admission, { kind, attr, dir }: Found): Node | undefined {
  if (kind === S.IFDIR || dir?.layer.writable !== true || dir.layer.isNested(attr)) return undefined;
  const known = core.nodes.linked(attr.ino);
  return known?.unlinked === true ? known : undefined;
}

/** It had lost every name we knew of, and now we learn of one more. */
function nameAgain(core: Admission, node: Node, { dir, name }: { dir: RealDir | undefined; name: ByteName }): void {
  closeFd(node.fd);
  node.fd = -1;
  node.lastPath = undefined;
  core.journal?.nameless(node);
  node.dir = dir;
  node.realName = name;
}

/** The file is the index's entry, wherever its name was found. `found.attr` becomes the entry's. */
function admitIndexed(core: Admission, at: { parent: Node; name: ByteName }, what: InIndex): Node {
  const { found, indexed } = what;
  const dir = core.linkIndex as RealDir;
  const known = core.nodes.linked(indexed.attr.ino);
  const node = known ?? core.nodes.make(found.kind);
  if (node.fd >= 0) nameAgain(core, node, { dir, name: indexed.name });
  placeInIndex(core, node, what);
  const { lower, attr } = indexed;
  if (known === undefined) {
    setIno(core, node, lower);
    core.nodes.recall(node, at.parent, at.name);
  }
  core.nodes.rememberLink(node, attr.ino);
  core.nodes.attach(node, at.parent, at.name);
  found.attr.copyFrom(attr);
  return node;
}

/** The object that was found under a name, and its entry in the index. */
interface InIndex {
  found: Found;
  indexed: Indexed;
  name: ByteName;
}

/** Its object is the index's entry. */
export function placeInIndex(core: Admission, node: Node, what: InIndex): void {
  const { found, indexed } = what;
  const dir = core.linkIndex as RealDir;
  if (node.indexed === undefined) node.data = dataOf(core, what);
  node.dir = dir;
  node.realName = indexed.name;
  if (node.indexed === undefined) {
    // The mark of an immutable file cannot be repaired.
    const nlinkDelta = repairNlink(core, dir, indexed);
    if (node.isRegular) adoptProtection(core, { dirFd: dir.fd, name: indexed.name }, indexed.attr);
    node.indexed = { nlinkDelta, lowerNlink: indexed.lower.nlink, bareNames: false, full: false };
  }
  if (found.dir?.layer.writable === false) node.indexed.bareNames = true;
}

/** The entry may be a metadata-only copy: the data is that of any of the lower file's names. */
function dataOf(core: Admission, { found, indexed, name }: InIndex): DataLocation | undefined {
  const { dir, data } = found;
  if (dir === undefined || dir.layer.writable || found.kind !== S.IFREG) return data;
  if (isMetacopy(core.marks, (core.linkIndex as RealDir).fd, indexed.name) === 0) return undefined;
  return data ?? new DataLocation(dir, name);
}

/** Sets the place of the node's object, and its inode number. */
export function place(core: Admission, node: Node, name: ByteName, found: Found): void {
  const words = found.attr.words;
  let origin: Ino | undefined;
  if (found.kind === S.IFDIR) {
    node.dirs = found.dirs;
    node.opaque = found.opaque;
    origin = found.lowerIno;
  } else {
    node.dir = found.dir;
    node.realName = name;
    node.data = found.data;
    if (found.isProtected) adoptProtection(core, { dirFd: core.fds.of(node.top), name }, found.attr);
    origin = node.top.layer.isOurs && node.top.impure ? originOf(core, node) : undefined;
  }
  const own = { lo: words[0] as number, hi: words[1] as number, device: node.top.layer.deviceIndex };
  setIno(core, node, origin ?? own);
  if (!node.top.layer.isOurs) stepAside(core, node);
  else if (origin !== undefined && !claim(core, node, { origin, ino: found.attr.ino })) setIno(core, node, own);
}

/**
 * The lower object whose inode number it may show. Not that of a file with several names: these may have been copied to different files,
 * which must not share a number. Policy judges those by the names of all.
 */
function originOf(core: Admission, node: Node): Ino | undefined {
  const origin = readOrigin(core, node);
  if (origin === undefined || origin.nlink < 2) return origin;
  core.nodes.markParted(node, origin.fileKey);
  return undefined;
}

interface Ino {
  lo: number;
  hi: number;
  device: number;
  /** Of a lower object, in its layer. */
  path?: readonly ByteName[];
}

/** May an upper object, `ino`, show the number of its origin, which the node has already? See origin-claims.ts. */
function claim(core: Admission, node: Node, { origin, ino }: { origin: Ino; ino: number }): boolean {
  const owner = core.claims.ownerOf(node.inoLo, node.inoHi);
  // Does the lower object show its number itself, under its own name?
  if (owner === undefined ? core.nodes.isShownAt(core.root, origin.path ?? [], node) : owner !== ino) return false;
  core.claims.give(node.inoLo, node.inoHi, ino);
  return true;
}

/** A bit that inode numbers do not use, below those of the device (DEVICE_SHIFT). */
const DISPLACED_BIT = 0x0080_0000;

/** A lower object gets another number if a copy in the upper layer shows its own. With `sharedLower` that recognizes the object. */
function stepAside(core: Admission, node: Node): void {
  if (core.config.sharedLower || core.claims.ownerOf(node.inoLo, node.inoHi) === undefined) return;
  node.inoHi = (node.inoHi ^ DISPLACED_BIT) >>> 0;
}

export function setIno(core: Pick<LayerStack, "severalDevices">, node: Node, ino: Ino): void {
  node.inoLo = ino.lo;
  node.inoHi = mixDevice(core, ino.hi, ino.device);
}

export function mixDevice(core: Pick<LayerStack, "severalDevices">, hi: number, device: number): number {
  return core.severalDevices ? (hi ^ (device << DEVICE_SHIFT)) >>> 0 : hi;
}

/** An object without a name: only its layer matters. */
export function placeNowhere(node: Node, layer: HostLayer): void {
  const nowhere = new RealDir(layer, layer.root, "");
  if (node.isDirectory) node.dirs = [nowhere];
  else node.dir = nowhere;
}

/** Further names of the same object lead to the same node, or in a lower layer to one that knows of the others. */
export function rememberLinks(core: Admission, node: Node, attr: Attr): void {
  if (node.top.layer.writable) rememberUpperLink(core, node, attr);
  else core.nodes.rememberLowerLink(node, node.top.layer.fileKey(attr));
}

/** By its inode number alone, which only tells files of one device apart. */
export function rememberUpperLink(core: Pick<Admission, "nodes">, node: Node, attr: Attr): void {
  if (!node.top.layer.isNested(attr)) core.nodes.rememberLink(node, attr.ino);
}

/** The `fileKey` of a file of the upper layer by its inode number, now that it is a lower layer. */
export function movedDownLinkKey({ deviceIndex }: HostLayer, ino: number): string {
  return `${deviceIndex}:${Math.floor(ino / HIGH_WORD)}:${ino % HIGH_WORD}`;
}
