/** Attributes, link targets, extended attributes, and the file system as a whole. */
import { Errno, type SetAttr, type Status } from "@sluice/vfs";
import { bytesOf, textOfBytes } from "../paths/names.js";
import { onNode, type Operation, type Server, withHandle } from "./operation.js";
import { DataInto, type Request } from "../requests/request.js";
import { noStat, noStatfs, statfsWords, statWords } from "../addon/stat-words.js";

const stat = { failed: () => [noStat()] };
/** The addon takes the buffer back with every answer. */
const buffer = (index: number) => ({ failed: (request: Request): unknown[] => [request.bytes(index).buffer] });
const NO_ID = 0xffff_ffff;
/** The offset of utimens' two times in the addon's record, in milliseconds: of its arguments it makes both from the first. */
const RECORD_ATIME = 104;
const RECORD_MTIME = 112;

/** libfuse subtracts one link if it believes that the file has a hidden name left. */
function statOf(server: Server, request: Request): Uint32Array {
  const { attr } = request.attr;
  if (server.walk.hidden.get(request.text(0)) !== undefined) attr.nlink++;
  return statWords(attr);
}

async function getattrOf(server: Server, request: Request, node: number): Promise<number> {
  const errno = await server.filesystem.getattr(request, node, undefined, request.attr);
  if (errno === 0) request.extras = [statOf(server, request)];
  return errno;
}

/** A lookup of the last name returns the attributes: no second call. */
export const getattr: Operation = {
  ...stat,
  async run(server, request) {
    const path = request.text(0);
    if (path === "/" || server.walk.hidden.get(path) !== undefined) {
      return onNode(server, request, path, (node) => getattrOf(server, request, node.nodeId));
    }
    const node = await server.walk.fresh(request, path, request.entry);
    if (typeof node === "number") return node;
    node.letGo();
    request.extras = [statWords(request.entry.attr)];
    return 0;
  },
};

export const fgetattr: Operation = {
  ...stat,
  async run(server, request) {
    const open = server.handles.get(request.number(1));
    if (open === undefined) return Errno.EBADF;
    const errno = await server.filesystem.getattr(request, open.node.nodeId, open.handle, request.attr);
    if (errno === 0) request.extras = [statOf(server, request)];
    return errno;
  },
};

function change(what: Partial<SetAttr>): SetAttr {
  const none = { mode: undefined, uid: undefined, gid: undefined, size: undefined, atime: undefined, mtime: undefined };
  // With this version of the protocol, the kernel itself clears suid and sgid, by a chmod.
  return { ...none, handle: undefined, killSuidgid: false, ...what };
}

const setattr = (server: Server, request: Request, what: Partial<SetAttr>): Status =>
  onNode(server, request, request.text(0), (node) => server.filesystem.setattr(request, node.nodeId, change(what), request.attr));

const idOf = (id: number): number | undefined => (id === NO_ID ? undefined : id);

export const chmod: Operation = { run: (server, request) => setattr(server, request, { mode: request.number(1) & 0o7777 }) };

export const chown: Operation = {
  run: (server, request) => setattr(server, request, { uid: idOf(request.number(1)), gid: idOf(request.number(2)) }),
};

export const truncate: Operation = { run: (server, request) => setattr(server, request, { size: request.offset(1) }) };

export const ftruncate: Operation = {
  run: (server, request) =>
    withHandle(server, request, 1, ({ node, handle }) =>
      server.filesystem.setattr(request, node.nodeId, change({ size: request.offset(2), handle }), request.attr),
    ),
};

function timeOf(ms: number): { sec: number; nsec: number } {
  const sec = Math.floor(ms / 1000);
  return { sec, nsec: (ms - sec * 1000) * 1_000_000 };
}

/** A time before 1970 is a negative number of 64 bits. */
function timesOf(request: Request): { atime: number; mtime: number } {
  const atime = Number(BigInt.asIntN(64, (BigInt(request.number(2)) << 32n) | BigInt(request.number(1))));
  const { record } = request;
  const readable = record.length >= RECORD_MTIME + 8 && Number(record.readBigInt64LE(RECORD_ATIME)) === atime;
  return { atime, mtime: readable ? Number(record.readBigInt64LE(RECORD_MTIME)) : atime };
}

export const utimens: Operation = {
  run(server, request) {
    const { atime, mtime } = timesOf(request);
    return setattr(server, request, { atime: timeOf(atime), mtime: timeOf(mtime) });
  },
};

export const readlink: Operation = {
  failed: () => [""],
  async run(server, request) {
    const data = new DataInto(undefined);
    const errno = await onNode(server, request, request.text(0), (node) => server.filesystem.readlink(request, node.nodeId, data));
    if (errno !== 0) return errno;
    const target = textOfBytes(Buffer.from(data.finish() || []).toString("latin1"));
    if (target === undefined) return Errno.EILSEQ;
    request.extras = [target];
    return 0;
  },
};

/** Writes into the addon's buffer; an empty buffer asks for the size. */
async function sized(server: Server, request: Request, into: Buffer, read: (node: number, data: DataInto) => Status): Promise<number> {
  const data = new DataInto(into);
  const errno = await onNode(server, request, request.text(0), (node) => read(node.nodeId, data));
  if (errno !== 0) return errno;
  if (into.length > 0 && data.finish() === false) return Errno.ERANGE;
  request.count = data.length;
  request.extras = [into.buffer];
  return 0;
}

export const getxattr: Operation = {
  ...buffer(2),
  async run(server, request) {
    const name = bytesOf(request.text(1));
    if (name === undefined) return Errno.EILSEQ;
    const into = request.bytes(2);
    return sized(server, request, into, (node, data) => server.filesystem.getxattr(request, node, { name, size: into.length }, data));
  },
};

export const listxattr: Operation = {
  ...buffer(1),
  async run(server, request) {
    const into = request.bytes(1);
    return sized(server, request, into, (node, data) => server.filesystem.listxattr(request, node, into.length, data));
  },
};

export const setxattr: Operation = {
  ...buffer(2),
  async run(server, request) {
    const name = bytesOf(request.text(1));
    if (name === undefined) return Errno.EILSEQ;
    const value = request.bytes(2);
    request.extras = [value.buffer];
    const set = { name, value, flags: request.number(4), killSgid: false };
    return onNode(server, request, request.text(0), (node) => server.filesystem.setxattr(request, node.nodeId, set));
  },
};

export const removexattr: Operation = {
  async run(server, request) {
    const name = bytesOf(request.text(1));
    if (name === undefined) return Errno.EILSEQ;
    return onNode(server, request, request.text(0), (node) => server.filesystem.removexattr(request, node.nodeId, name));
  },
};

export const statfs: Operation = {
  failed: () => [noStatfs()],
  async run(server, request) {
    const errno = await onNode(server, request, request.text(0), (node) => server.filesystem.statfs(request, node.nodeId, request.statfs));
    if (errno === 0) request.extras = [statfsWords(request.statfs)];
    return errno;
  },
};

/** The kernel checks permissions on the attributes (default_permissions): every existing object may be accessed. */
export const access: Operation = { run: (server, request) => onNode(server, request, request.text(0), () => 0) };

export const init: Operation = { run: () => 0 };
