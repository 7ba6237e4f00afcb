/** A Filesystem whose every method calls one function of the test: its name and arguments in, a status out. */
import type { Filesystem, Status } from "@sluice/vfs";

const methods = [
  "lookup",
  "getattr",
  "setattr",
  "readlink",
  "mknod",
  "mkdir",
  "symlink",
  "link",
  "unlink",
  "rmdir",
  "rename",
  "open",
  "create",
  "tmpfile",
  "read",
  "write",
  "flush",
  "release",
  "getlk",
  "setlk",
  "fsync",
  "fallocate",
  "lseek",
  "copyFileRange",
  "opendir",
  "readdir",
  "releasedir",
  "fsyncdir",
  "getxattr",
  "setxattr",
  "listxattr",
  "removexattr",
  "statfs",
  "syncfs",
  "ioctl",
] as const satisfies readonly (keyof Filesystem)[];
export type Method = (typeof methods)[number];

export type Script = (method: Method, args: readonly unknown[]) => Status;

export function scriptedFilesystem(script: Script, forget: (node: number, count: number) => void = () => undefined): Filesystem {
  const made: Partial<Record<keyof Filesystem, unknown>> = { forget, destroy: () => undefined };
  for (const method of methods) made[method] = (...args: unknown[]) => script(method, args);
  return made as Filesystem;
}
