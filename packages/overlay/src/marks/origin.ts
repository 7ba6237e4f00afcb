/**
 * The origin mark: which lower object an upper one was copied from, so that its inode number stays the same over a
 * remount. In the kernel's format (struct ovl_fb: a file handle with its file system's UUID), which also makes the names
 * in the index of hard links.
 */
import { AT, Attr, type ByteName, Errno, O, S } from "@sluice/vfs";
import type { MarkedLayers } from "./marked-layers.js";
import type { HostLayer, RealDir } from "../layer/host-layer.js";
import { readXattr, sys, upkeep } from "../layer/system-calls.js";

const MAGIC = 0xfb;
const HEADER = 21;
const LENGTH_AT = 2;
const UUID_AT = 5;
const PATH_UPPER = 4;
const NO_UUID = Buffer.alloc(16);
const mark = Buffer.alloc(256);
/** A mark as it is made. */
const made = Buffer.alloc(HEADER + 128);
const madeHandle = made.subarray(HEADER);
const link = Buffer.alloc(4096);
const attr = new Attr();

/** An object of the upper layer, by the name that it has there. `kind` are S_IFMT bits. */
interface UpperObject {
  readonly top: RealDir;
  readonly realName: ByteName;
  readonly kind: number;
}

/** A lower object as a mark leads to it. */
export interface Origin {
  lo: number;
  hi: number;
  device: number;
  /** See HostLayer.fileKey. */
  fileKey: string;
  nlink: number;
  /** Its path in its layer, if the host remembers one. */
  path: readonly ByteName[];
}

/** The lower object that it was copied from; undefined if the mark is absent or leads nowhere. */
export function readOrigin(core: MarkedLayers, node: UpperObject): Origin | undefined {
  const dirFd = core.fds.of(node.top);
  const bytes = dirFd < 0 ? undefined : readOriginMark(core, dirFd, node.realName);
  return bytes === undefined ? undefined : followOrigin(core, bytes, node.kind);
}

/** The mark's bytes, valid until the next call; undefined if there is none. */
export function readOriginMark(core: MarkedLayers, dirFd: number, name: ByteName): Buffer | undefined {
  const length = readXattr(dirFd, name, core.marks.origin, mark);
  return length <= HEADER || mark[1] !== MAGIC ? undefined : mark.subarray(0, length);
}

/** Finds the lower object of a mark. `kind` are S_IFMT bits: an object of another kind has taken the inode number over. */
export function followOrigin(core: MarkedLayers, bytes: Buffer, kind: number): Origin | undefined {
  let nested: Origin | undefined;
  for (const layer of core.layers) {
    if (layer.writable || !mayLieIn(layer, bytes)) continue;
    const length = sys.statByHandle(layer.mountFd, bytes[4] as number, bytes.subarray(HEADER), attr.words, link);
    if (length < 0 || (attr.mode & S.IFMT) !== kind) continue;
    const path = rememberedPath(length);
    const [lo = 0, hi = 0] = attr.words;
    const origin = { lo, hi, device: layer.deviceIndex, fileKey: layer.fileKey(attr), nlink: attr.nlink, path };
    if (!layer.isNested(attr)) return origin;
    // A handle leads to any subvolume of the file system, and that may be another layer.
    nested ??= origin;
  }
  return nested;
}

/** A handle leads to an inode. Its path, in `link`, is known only if somebody looked it up by name before. */
function rememberedPath(length: number): readonly ByteName[] {
  return length <= 1 || length === link.length ? [] : link.toString("latin1", 1, length).split("/");
}

/** Opens the lower object that the mark of an upper one leads to. A descriptor or the negative errno. */
export function followOriginOf(core: MarkedLayers, at: { dirFd: number; name: ByteName }, flags: number): number {
  const bytes = readOriginMark(core, at.dirFd, at.name);
  if (bytes === undefined) return -Errno.ENOENT;
  for (const layer of core.layers) {
    if (layer.writable || !mayLieIn(layer, bytes)) continue;
    const fd = sys.openByHandleAt(layer.mountFd, bytes[4] as number, bytes.subarray(HEADER), flags | O.NOFOLLOW | O.CLOEXEC);
    if (fd >= 0) return fd;
  }
  return -Errno.ENOENT;
}

/** Handles of different file systems look alike: only the UUID tells whose it is. A mark without one may be anybody's. */
function mayLieIn(layer: HostLayer, bytes: Buffer): boolean {
  return lacksUuid(bytes) || bytes.subarray(UUID_AT, HEADER).equals(layer.uuid);
}

export function lacksUuid(bytes: Buffer): boolean {
  return bytes.subarray(UUID_AT, HEADER).equals(NO_UUID);
}

/** Encodes the object at (`dirFd`, `name`), or of the descriptor where `name` is "". undefined if the file system has no handles. */
export function encodeOrigin(layer: HostLayer, dirFd: number, name: ByteName): Buffer | undefined {
  const both = sys.nameToHandleAt(dirFd, name, name === "" ? AT.EMPTY_PATH : 0, madeHandle);
  if (both < 0) return undefined;
  const length = HEADER + (both & 0xffff);
  beginMark(layer);
  made[LENGTH_AT] = length;
  made[4] = both >>> 16;
  return Buffer.from(made.subarray(0, length));
}

/**
 * Gives a copy the mark that leads to its original, and returns the mark: valid until the next call, undefined if the original's file
 * system has no handles. Best effort: a file system without room just loses constant inode numbers over a remount.
 */
export function copyOrigin(
  core: MarkedLayers,
  layer: HostLayer,
  { source, target }: { source: number; target: number },
): Buffer | undefined {
  beginMark(layer);
  const status = upkeep.copyOrigin(target, source, core.marks.origin, made);
  if (status < 0 && status !== -Errno.EOPNOTSUPP) core.events.anomaly("the origin mark could not be written", { errno: -status });
  const length = made[LENGTH_AT] as number;
  return length === 0 ? undefined : made.subarray(0, length);
}

function beginMark(layer: HostLayer): void {
  made[0] = 0;
  made[1] = MAGIC;
  made[LENGTH_AT] = 0;
  made[3] = (process.arch === "x64" || process.arch === "arm64" ? 0 : 1) | (layer.writable ? PATH_UPPER : 0);
  made.set(layer.uuid, UUID_AT);
}
