/**
 * The index of hard links: workdir/index, as overlayfs keeps it with index=on (fs/overlayfs/namei.c ovl_lookup_index).
 *
 * A lower file with several names is copied up once, to an entry named by the lower file's handle; its names in the upper
 * layer are further links of that entry. So each name finds the same file, whether it has been copied up or not.
 * The count of links that callers see is the entry's own plus a difference that is stored in an attribute of the file: names
 * that are still only in a lower layer count, the entry itself does not.
 */
import { Attr, type ByteName, S } from "@sluice/vfs";
import { readXattr, statName, upkeep } from "../layer/system-calls.js";
import type { RealDir } from "../layer/host-layer.js";
import type { MarkedLayers } from "../marks/marked-layers.js";
import { isWhiteout } from "../marks/whiteout.js";
import { encodeOrigin, followOrigin, type Origin, readOriginMark } from "../marks/origin.js";
import type { Found } from "./found.js";
import type { Node } from "./node.js";

/** The layers, and the index if the mount has one. */
export interface LinkIndex extends MarkedLayers {
  /** workdir/index. */
  readonly linkIndex: RealDir | undefined;
}

/** The index's entry of a file that was found. */
export interface Indexed {
  /** The entry's name in the index. */
  name: string;
  /** The entry's attributes: valid until the next look. */
  attr: Attr;
  lower: Origin;
}

const entry = new Attr();
const value = Buffer.alloc(16);

/** `found` has several links. Undefined if the index has no entry for it, or an entry that is another file's by now. */
export function lookUpIndex(core: LinkIndex, found: Found, name: ByteName): Indexed | undefined {
  const dir = core.linkIndex;
  if (dir === undefined || found.dir === undefined) return undefined;
  const fd = core.fds.of(found.dir);
  if (fd < 0) return undefined;
  return found.dir.layer.writable ? indexedUpper(core, dir, { fd, name, found }) : indexedLower(core, dir, { fd, name, found });
}

interface FoundEntry {
  fd: number;
  name: ByteName;
  found: Found;
}

function indexedUpper(core: LinkIndex, dir: RealDir, at: FoundEntry): Indexed | undefined {
  const mark = readOriginMark(core, at.fd, at.name);
  if (mark === undefined) return undefined;
  const name = mark.toString("hex");
  if (statName(dir.fd, name, entry) < 0 || !sameFile(entry, at.found.attr)) return undefined;
  const lower = followOrigin(core, mark, at.found.kind);
  return lower === undefined ? undefined : { name, attr: entry, lower };
}

function indexedLower(core: LinkIndex, dir: RealDir, at: FoundEntry): Indexed | undefined {
  const { attr, dir: foundDir } = at.found;
  const layer = (foundDir as RealDir).layer;
  const name = encodeOrigin(layer, at.fd, at.name)?.toString("hex");
  if (name === undefined || statName(dir.fd, name, entry) < 0) return undefined;
  if ((entry.mode & S.IFMT) !== at.found.kind || isWhiteout(entry)) {
    core.events.anomaly("an entry of the index is no copy of its lower file", { entry: name });
    return undefined;
  }
  const [lo = 0, hi = 0] = attr.words;
  const lower = { lo, hi, device: layer.deviceIndex, fileKey: layer.fileKey(attr), nlink: attr.nlink, path: [] };
  return { name, attr: entry, lower };
}

function sameFile(a: Attr, b: Attr): boolean {
  return a.words[0] === b.words[0] && a.words[1] === b.words[1] && (a.mode & S.IFMT) === (b.mode & S.IFMT);
}

function nlinkMark(core: LinkIndex, dir: RealDir, { name }: Indexed): RegExpExecArray | null {
  const length = readXattr(dir.fd, name, core.marks.nlink, value);
  return length > 0 ? /^([UL])([+-]\d+)$/.exec(value.toString("latin1", 0, length)) : null;
}

/**
 * Reads how many links callers see: "U+1" is one more than the upper file has, "L+0" as many as the lower one. Without a
 * mark that makes sense it is the upper file's count without the entry itself.
 */
export function readNlinkDelta(core: LinkIndex, dir: RealDir, indexed: Indexed): number {
  const parts = nlinkMark(core, dir, indexed);
  if (parts === null) return -1;
  const { nlink } = indexed.attr;
  const delta = Number(parts[2]);
  const shown = (parts[1] === "L" ? indexed.lower.nlink : nlink) + delta;
  return shown > 0 ? shown - nlink : -1;
}

/** The same for an entry that comes into use. If a process ended while the mark counted from the lower file, this mends it. */
export function repairNlink(core: LinkIndex, dir: RealDir, indexed: Indexed): number {
  const delta = readNlinkDelta(core, dir, indexed);
  if (nlinkMark(core, dir, indexed)?.[1] === "L") writeNlink(core, { fd: dir.fd, name: indexed.name }, { to: "U", delta });
  return delta;
}

/** Written before and after each step that changes the upper file's count, so that a crash between leaves the right one. */
export function writeNlink(core: LinkIndex, at: { fd: number; name: ByteName }, relative: { to: "U" | "L"; delta: number }): number {
  const { to, delta } = relative;
  return upkeep.setxattrat(at.fd, at.name, core.marks.nlink, Buffer.from(`${to}${delta < 0 ? "" : "+"}${delta}`), 0);
}

/** Would removing this name of the node leave nothing that tells how many are left? */
export function losesItsCount(core: LinkIndex, node: Node, parent: Node, name: ByteName): boolean {
  return core.linkIndex !== undefined && ((!node.inUpper && node.lowerLinkKey !== undefined) || isBare(core, node, parent, name));
}

/** Does the name have no link in the upper layer? One bare name counts for all, unless the file can have no further link. */
export function isBare(core: LinkIndex, { indexed }: Node, parent: Node, name: ByteName): boolean {
  if (indexed?.bareNames !== true || !indexed.full) return indexed?.bareNames === true;
  const fd = parent.upperDir === undefined ? -1 : core.fds.of(parent.upperDir);
  return fd < 0 || statName(fd, name, entry) < 0;
}

/**
 * How many links callers see. A lower layer that got names while it is mounted has more than anybody counted: the names that are
 * known count in any case, as the kernel lets no count go to zero while another name is in use (fs/overlayfs/dir.c ovl_drop_nlink).
 */
export function shownLinks(node: Node, nlink: number): number {
  if (node.indexed === undefined) return nlink;
  const known = node.parent === undefined ? 0 : 1 + (node.others?.length ?? 0);
  return Math.max(nlink + node.indexed.nlinkDelta, known);
}

/** A name was taken from the node: its entry goes with the last one that callers see. */
export function dropLastIndexed(core: LinkIndex, node: Node): void {
  const { indexed } = node;
  const dir = core.linkIndex;
  if (indexed === undefined || dir === undefined) return;
  indexed.full = false;
  if (statName(dir.fd, node.realName, entry) < 0 || entry.nlink + indexed.nlinkDelta > 0) return;
  // Links that nobody counted are left: a lower layer got names while it was mounted. The file stays (ovl_cleanup_index).
  if (entry.nlink > 1) {
    indexed.nlinkDelta = -1;
    writeNlink(core, { fd: dir.fd, name: node.realName }, { to: "U", delta: -1 });
    return;
  }
  upkeep.unlinkat(dir.fd, node.realName, 0);
  node.indexed = undefined;
}
