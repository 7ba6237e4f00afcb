/** Opcode → handler, as data. Missing opcodes are answered ENOSYS, as expected for the operations in `leftToKernel`. */
import { Opcode } from "@sluice/fuse-protocol";
import * as attributes from "./handle-attributes.js";
import * as directories from "./handle-directories.js";
import * as files from "./handle-files.js";
import * as names from "./handle-names.js";
import type { Handler } from "./handler.js";

const table: (Handler | undefined)[] = [];
table[Opcode.LOOKUP] = names.lookup;
table[Opcode.GETATTR] = attributes.getattr;
table[Opcode.SETATTR] = attributes.setattr;
table[Opcode.READLINK] = attributes.readlink;
table[Opcode.SYMLINK] = names.symlink;
table[Opcode.MKNOD] = names.mknod;
table[Opcode.MKDIR] = names.mkdir;
table[Opcode.UNLINK] = names.unlink;
table[Opcode.RMDIR] = names.rmdir;
table[Opcode.RENAME] = names.rename;
table[Opcode.LINK] = names.link;
table[Opcode.OPEN] = files.open;
table[Opcode.READ] = files.read;
table[Opcode.WRITE] = files.write;
table[Opcode.STATFS] = attributes.statfs;
table[Opcode.RELEASE] = files.release;
table[Opcode.FSYNC] = files.fsync;
table[Opcode.SETXATTR] = attributes.setxattr;
table[Opcode.GETXATTR] = attributes.getxattr;
table[Opcode.LISTXATTR] = attributes.listxattr;
table[Opcode.REMOVEXATTR] = attributes.removexattr;
table[Opcode.FLUSH] = files.flush;
table[Opcode.OPENDIR] = directories.opendir;
table[Opcode.READDIR] = directories.readdir;
table[Opcode.RELEASEDIR] = directories.releasedir;
table[Opcode.FSYNCDIR] = directories.fsyncdir;
table[Opcode.GETLK] = files.getlk;
table[Opcode.SETLK] = files.setlk;
table[Opcode.SETLKW] = files.setlkw;
table[Opcode.CREATE] = names.create;
table[Opcode.IOCTL] = files.ioctl;
table[Opcode.FALLOCATE] = files.fallocate;
table[Opcode.READDIRPLUS] = directories.readdirplus;
table[Opcode.RENAME2] = names.rename2;
table[Opcode.LSEEK] = files.lseek;
table[Opcode.COPY_FILE_RANGE] = files.copyFileRange;
table[Opcode.SYNCFS] = attributes.syncfs;
table[Opcode.TMPFILE] = names.tmpfile;
table[Opcode.STATX] = attributes.statx;
table[Opcode.COPY_FILE_RANGE_64] = files.copyFileRange64;

export function handlerOf(opcode: number): Handler | undefined {
  return table[opcode];
}

/**
 * ENOSYS tells the kernel to do without: permissions are its own (default_permissions), every file polls ready, and files
 * have no block map.
 */
export const leftToKernel: ReadonlySet<number> = new Set([Opcode.ACCESS, Opcode.BMAP, Opcode.POLL]);

/** Requests that take no reply, whatever their content. */
export const unanswered: ReadonlySet<number> = new Set([Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT, Opcode.NOTIFY_REPLY]);
