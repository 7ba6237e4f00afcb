/**
 * The origin mark: which lower object an upper one was copied from, so that its inode number stays the same over a
 * remount. In the kernel's format (struct ovl_fb: a file handle with the file system's UUID).
 */
import { Attr, Errno, O } from "@sluice/vfs";
import type { Core } from "../core.js";
import { type HostLayer, statFd, sys } from "../layer/host-layer.js";
import type { Node } from "../node/node.js";

const MAGIC = 0xfb;
const HEADER = 21;
const handle = Buffer.alloc(128);
const mark = Buffer.alloc(256);
const attr = new Attr();

/**
 * The lower object's inode number, or undefined where the mark is absent or leads nowhere, or to a file with other names:
 * those may have been copied to different files, which must not share a number.
 */
export function readOrigin(core: Core, node: Node): { lo: number; hi: number; device: number } | undefined {
  const dirFd = core.fds.of(node.top);
  const length = dirFd < 0 ? dirFd : sys.getxattrat(dirFd, node.realName, core.marks.origin, mark);
  if (length <= HEADER || mark[1] !== MAGIC) return undefined;
  const type = mark[4] as number;
  for (const layer of core.layers) {
    if (layer.writable) continue;
    const fd = openHandle(layer, type, mark.subarray(HEADER, length));
    if (fd < 0) continue;
    const status = statFd(fd, attr);
    sys.close(fd);
    if (status < 0 || (attr.mode & 0o170000) !== node.kind) continue;
    if (attr.nlink > 1) return undefined;
    return { lo: attr.words[0] as number, hi: attr.words[1] as number, device: layer.deviceIndex };
  }
  return undefined;
}

function openHandle(layer: HostLayer, type: number, bytes: Buffer): number {
  return sys.openByHandleAt(layer.mountFd, type, bytes, O.PATH | O.NOFOLLOW | O.CLOEXEC);
}

/**
 * Encodes the origin of a lower object as the kernel does, with a null UUID (which overlayfs accepts where the lower file
 * systems' UUIDs are not unique, and writes itself then). undefined where the file system has no handles.
 */
export function encodeOrigin(lowerFd: number): Buffer | undefined {
  const both = sys.nameToHandleAt(lowerFd, "", 0x1000, handle);
  if (both < 0) return undefined;
  const length = both & 0xffff;
  const out = Buffer.alloc(HEADER + length);
  out[0] = 0;
  out[1] = MAGIC;
  out[2] = HEADER + length;
  out[3] = process.arch === "x64" || process.arch === "arm64" ? 0 : 1;
  out[4] = both >>> 16;
  handle.copy(out, HEADER, 0, length);
  return out;
}

/** Best effort: a file system without room or handles just loses constant inode numbers over a remount. */
export function writeOrigin(core: Core, targetFd: number, origin: Buffer | undefined): void {
  if (origin === undefined) return;
  const status = sys.setxattrat(targetFd, "", core.marks.origin, origin, 0);
  if (status < 0 && status !== -Errno.EOPNOTSUPP) core.events.anomaly("the origin mark could not be written", { errno: -status });
}
