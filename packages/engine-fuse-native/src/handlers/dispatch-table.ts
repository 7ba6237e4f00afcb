/** Callback → handler, as data. */
import type { OperationName } from "../addon/addon.js";
import * as attributes from "./handle-attributes.js";
import * as directories from "./handle-directories.js";
import * as files from "./handle-files.js";
import * as names from "./handle-names.js";
import type { Operation } from "./operation.js";

export const dispatchTable: Readonly<Record<OperationName, Operation>> = {
  init: attributes.init,
  access: attributes.access,
  statfs: attributes.statfs,
  getattr: attributes.getattr,
  fgetattr: attributes.fgetattr,
  chmod: attributes.chmod,
  chown: attributes.chown,
  truncate: attributes.truncate,
  ftruncate: attributes.ftruncate,
  utimens: attributes.utimens,
  readlink: attributes.readlink,
  setxattr: attributes.setxattr,
  getxattr: attributes.getxattr,
  listxattr: attributes.listxattr,
  removexattr: attributes.removexattr,
  open: files.open,
  read: files.read,
  write: files.write,
  flush: files.flush,
  fsync: files.fsync,
  release: files.release,
  opendir: directories.opendir,
  readdir: directories.readdir,
  releasedir: directories.releasedir,
  fsyncdir: directories.fsyncdir,
  create: names.create,
  mknod: names.mknod,
  mkdir: names.mkdir,
  symlink: names.symlink,
  link: names.link,
  unlink: names.unlink,
  rmdir: names.rmdir,
  rename: names.rename,
};
