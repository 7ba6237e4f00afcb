/**
 * How the files of a policy are reached: by this process itself, or through another one that opens what this one may not.
 * All calls are synchronous, since an edit must hold for the very next question.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, realpathSync, type Stats, statSync } from "node:fs";

export type FileStats = Pick<Stats, "dev" | "ino" | "size" | "mtimeMs" | "ctimeMs"> & { isDirectory(): boolean };

export interface PolicyDisk {
  /** Of the object that the path leads to, links followed. Undefined: nothing, or nothing that can be reached. */
  stat(path: string): FileStats | undefined;
  /** The name of the errno for which there is no `stat`, if that is known without a call. */
  problem(path: string): string | undefined;
  /** Throws as `readFileSync`; EINVAL if it is no regular file. */
  read(path: string): Buffer;
  /** Without links. Throws as `realpathSync`. */
  resolve(path: string): string;
  /** A policy is loaded from here on: files that were looked at before no longer matter. */
  begin(): void;
  /** Calls when a file may have changed, for readers that do not ask. */
  onChange(listener: () => void): void;
}

/** Of this process, such as the pipe of a shell's `<(…)`. Whoever started this process named it. */
const OWN_DESCRIPTOR = /^\/(?:dev|proc\/self)\/(?:fd\/\d+|stdin)$/;

/** A pipe without a writer would hold a service up for ever. */
function readRegular(path: string): Buffer {
  if (OWN_DESCRIPTOR.test(path)) return readFileSync(path);
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!fstatSync(fd).isFile() && !fstatSync(fd).isDirectory()) throw Object.assign(new Error(`EINVAL: ${path}`), { code: "EINVAL" });
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

export const OWN_DISK: PolicyDisk = {
  stat(path) {
    try {
      return statSync(path, { throwIfNoEntry: false });
    } catch {
      return undefined; // reading it says why
    }
  },
  problem: () => undefined,
  read: readRegular,
  resolve: (path) => realpathSync.native(path),
  begin: () => undefined,
  onChange: () => undefined,
};
