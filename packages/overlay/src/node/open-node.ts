/** Reaching a node's object in its layer: by descriptor or by (directory descriptor, name). */
import { type Attr, Errno, O, S } from "@sluice/vfs";
import type { DataAccess, DirectoryAccess } from "../layer/layer-stack.js";
import { readOwn } from "../layer/owner-access.js";
import { closeFd, openDirectory, openName, reopen, statFd, statName } from "../layer/system-calls.js";
import type { Node } from "./node.js";
import { openData } from "./open-data.js";

/**
 * Opens a node's object with host flags (never O_CREAT or O_TRUNC). A descriptor or the negative errno. Of a metadata-only
 * copy its data is opened, for reading, and with O_PATH the copy.
 * O_NONBLOCK, since somebody outside may have put a FIFO in the file's place.
 */
export function openNode(core: DataAccess, node: Node, flags: number): number {
  if (node.data !== undefined && (flags & O.PATH) === 0) return openData(core, node.data, flags | O.NONBLOCK | O.NOCTTY);
  return openObject(core, node, flags);
}

/**
 * Opens for reading and writing. An append-only file (chattr +a) opens with O_APPEND alone, if `flags` have that. A server without privilege may
 * only write to a file that its user may not read (mode 0200), and `flags` ask for no more then.
 */
export function openWritable(core: DataAccess, node: Node, flags: number): number {
  const fd = openNode(core, node, O.RDWR);
  if (fd === -Errno.EPERM && (flags & O.APPEND) !== 0) return openNode(core, node, O.RDWR | O.APPEND);
  return fd === -Errno.EACCES && (flags & O.ACCMODE) === O.WRONLY ? openNode(core, node, O.WRONLY) : fd;
}

/** Opens the data of a file for a copy-up, also if its mode closes it to its owner, who may change that mode. A descriptor, or the negative errno. */
export function openForCopy(core: DataAccess, node: Node): number {
  return node.data === undefined ? openClosed(core, node) : openNode(core, node, O.RDONLY);
}

/** The same of the object itself. */
export function openClosed(core: DirectoryAccess, node: Node): number {
  const fd = openObject(core, node, O.RDONLY);
  if (fd !== -Errno.EACCES) return fd;
  const path = openObject(core, node, O.PATH | O.NOFOLLOW);
  if (path < 0) return path;
  const own = readOwn(path);
  closeFd(path);
  return own;
}

/** As openNode, of the object itself, a metadata-only copy too. */
export function openObject(core: DirectoryAccess, node: Node, flags: number): number {
  const quiet = (flags & O.PATH) !== 0 ? flags : flags | O.NONBLOCK | O.NOCTTY;
  if (node.fd >= 0) return reopen(node.fd, quiet);
  if (node.dirs !== undefined) {
    const fd = core.fds.of(node.top);
    return fd < 0 ? fd : openDirectory(fd, quiet);
  }
  const dirFd = core.fds.of(node.top);
  return dirFd < 0 ? dirFd : openName(dirFd, node.realName, quiet, 0);
}

/** Attributes of a node's object as the layer has them. 0 or the negative errno. */
export function statNode(core: DirectoryAccess, node: Node, attr: Attr): number {
  const status = statObject(core, node, attr);
  if (status < 0) return status;
  return (attr.mode & S.IFMT) === node.kind ? 0 : -Errno.ESTALE;
}

function statObject(core: DirectoryAccess, node: Node, attr: Attr): number {
  if (node.fd >= 0) return statFd(node.fd, attr);
  const top = node.top;
  if (node.dirs === undefined) {
    const dirFd = core.fds.of(top);
    return dirFd < 0 ? dirFd : statName(dirFd, node.realName, attr);
  }
  if (top.fd >= 0) return statFd(top.fd, attr);
  if (top.parent === undefined) return -Errno.ESTALE;
  const parentFd = core.fds.of(top.parent);
  return parentFd < 0 ? parentFd : statName(parentFd, top.name, attr);
}

/**
 * Where to aim a call that takes (descriptor, name): an object without a name by its own descriptor and "".
 * `fd` is negative where the directory cannot be reached.
 */
export function aim(core: DirectoryAccess, node: Node): { fd: number; name: string } {
  if (node.fd >= 0) return { fd: node.fd, name: "" };
  if (node.dirs === undefined) return { fd: core.fds.of(node.top), name: node.realName };
  return { fd: core.fds.of(node.top), name: "" };
}
