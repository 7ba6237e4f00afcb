/** Decoders of the requests that work on names: lookup, create and remove kinds, rename, link. All return 0 or an errno. */
import { Errno } from "@sluice/vfs";
import { decodeExtensions } from "./decode-extensions.js";
import type { Request } from "./request.js";
import type { RequestArgs } from "./request-args.js";
import { RequestFlag } from "./message-flags.js";
import { BAD_ID, IN_HEADER_WORDS as BODY, readId } from "./wire.js";

/** LOOKUP: a name in the request's directory, or "." or ".." of a node that the kernel has the handle of (EXPORT_SUPPORT). */
export function decodeLookup(request: Request, args: RequestArgs): number {
  const status = request.takeNameOrDots(0);
  args.at.parent = request.nodeId;
  args.at.name = request.text;
  return status;
}

/** UNLINK, RMDIR: a name in the request's directory. */
export function decodeName(request: Request, args: RequestArgs): number {
  return takeNameAt(request, args, 0);
}

/** MKNOD: fuse_mknod_in, name. */
export function decodeMknod(request: Request, args: RequestArgs): number {
  if (request.need(16) !== 0) return Errno.EIO;
  args.node.mode = request.words[BODY] as number;
  args.node.rdev = request.words[BODY + 1] as number;
  args.node.umask = request.words[BODY + 2] as number;
  return takeNameAt(request, args, 16) || decodeExtensions(request, args);
}

/** MKDIR: fuse_mkdir_in, name. */
export function decodeMkdir(request: Request, args: RequestArgs): number {
  if (request.need(8) !== 0) return Errno.EIO;
  args.node.mode = request.words[BODY] as number;
  args.node.umask = request.words[BODY + 1] as number;
  args.node.rdev = 0;
  return takeNameAt(request, args, 8) || decodeExtensions(request, args);
}

/** SYMLINK: name, target. */
export function decodeSymlink(request: Request, args: RequestArgs): number {
  const status = takeNameAt(request, args, 0) || request.takeTarget(request.next);
  if (status !== 0) return status;
  args.target = request.text;
  return decodeExtensions(request, args);
}

/** CREATE and TMPFILE: fuse_create_in, name. TMPFILE's name is "/" and means nothing. */
export function decodeCreate(request: Request, args: RequestArgs): number {
  return fillCreate(request, args) || takeNameAt(request, args, 16) || decodeExtensions(request, args);
}

export function decodeTmpfile(request: Request, args: RequestArgs): number {
  return fillCreate(request, args) || decodeExtensions(request, args);
}

/** LINK: fuse_link_in (the inode to link), new name; the request's node is the new parent. */
export function decodeLink(request: Request, args: RequestArgs): number {
  if (request.need(8) !== 0) return Errno.EIO;
  args.node2 = readId(request.words, BODY);
  if (args.node2 === BAD_ID) return Errno.EINVAL;
  return takeNameAt(request, args, 8);
}

/** RENAME: fuse_rename_in, old name, new name. */
export function decodeRename(request: Request, args: RequestArgs): number {
  args.rename.flags = 0;
  return request.need(8) || takeRename(request, args, 8);
}

/** RENAME2: fuse_rename2_in, old name, new name. */
export function decodeRename2(request: Request, args: RequestArgs): number {
  if (request.need(16) !== 0) return Errno.EIO;
  args.rename.flags = request.words[BODY + 2] as number;
  return takeRename(request, args, 16);
}

function takeRename(request: Request, args: RequestArgs, namesAt: number): number {
  const { rename } = args;
  rename.parent = request.nodeId;
  rename.newParent = readId(request.words, BODY);
  if (rename.newParent === BAD_ID) return Errno.EINVAL;
  const old = request.takeName(namesAt);
  if (old !== 0) return old;
  rename.name = request.text;
  const fresh = request.takeName(request.next);
  rename.newName = request.text;
  return fresh;
}

function fillCreate(request: Request, args: RequestArgs): number {
  if (request.need(16) !== 0) return Errno.EIO;
  const { create } = args;
  create.flags = request.words[BODY] as number;
  create.mode = request.words[BODY + 1] as number;
  create.umask = request.words[BODY + 2] as number;
  create.killSuidgid = ((request.words[BODY + 3] as number) & RequestFlag.OPEN_KILL_SUIDGID) !== 0;
  return 0;
}

function takeNameAt(request: Request, args: RequestArgs, at: number): number {
  const status = request.takeName(at);
  args.at.parent = request.nodeId;
  args.at.name = request.text;
  return status;
}
