/**
 * The compiled half of npm `fuse-native` 2.2.6, typed. Its JavaScript half is not used: it loses arguments (the handle of
 * fgetattr, the flags of opendir), answers one tick late, unmounts through a shell and drops the modification time of
 * utimens. An operation arrives as (record, opcode, ...arguments) and is answered by the signal of its name, once.
 */
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { Errno, FsError } from "@sluice/vfs";

export const OPERATIONS = [
  "init",
  "access",
  "statfs",
  "fgetattr",
  "getattr",
  "flush",
  "fsync",
  "fsyncdir",
  "readdir",
  "truncate",
  "ftruncate",
  "utimens",
  "readlink",
  "chown",
  "chmod",
  "mknod",
  "setxattr",
  "getxattr",
  "listxattr",
  "removexattr",
  "open",
  "opendir",
  "read",
  "write",
  "release",
  "releasedir",
  "create",
  "unlink",
  "rename",
  "link",
  "symlink",
  "mkdir",
  "rmdir",
] as const;
export type OperationName = (typeof OPERATIONS)[number];

/** The addon's own record of one waiting thread of libfuse: handed back with the answer. */
export type ThreadRecord = Buffer;
/** `result`: 0 or a count of bytes, or a negative errno. The extras depend on the operation; see outcomes.ts. */
export type Signal = (record: ThreadRecord, result: number, ...extras: unknown[]) => void;
export type RawHandler = (record: ThreadRecord, opcode: number, ...args: unknown[]) => void;

export interface Addon {
  /** Bytes of the state of one mount. */
  readonly stateBytes: number;
  /** Throws if libfuse cannot mount. `state` and the result of `allocate` must live as long as the process. */
  mount(at: string, options: string, parts: MountParts): void;
  /** Lets the event loop end; unmounts nothing. */
  letGo(at: string, state: Buffer): void;
  opcode(name: OperationName): number;
  signal(name: OperationName): Signal;
}
export interface MountParts {
  readonly state: Buffer;
  readonly handlers: readonly RawHandler[];
  allocate(sizeBytes: number): Buffer;
}

/** Slots of the addon's table of handlers. */
const TABLE_LENGTH = 35;

type Binding = Readonly<Record<string, number | ((...args: never[]) => unknown)>>;

function load(): Binding {
  const ours = createRequire(import.meta.url);
  try {
    const home = dirname(ours.resolve("fuse-native/package.json"));
    const build = createRequire(join(home, "index.js"))("node-gyp-build") as (root: string) => Binding;
    return buildOn(home, () => build(home));
  } catch (cause) {
    const remedy = "run 'npm install --include=optional', or use --engine devfuse";
    const why = (cause as Error).message.split("\n")[0];
    throw new FsError(Errno.ENOSYS, `the package fuse-native does not load (${why}): ${remedy}`, { cause });
  }
}

/** Prefers the machine's own libfuse 2, which gets its updates; else the one that comes in the package. */
function buildOn(home: string, build: () => Binding): Binding {
  try {
    return build();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_DLOPEN_FAILED") throw error;
    bringLibfuse(join(home, "prebuilds", `${process.platform}-${process.arch}`, "libfuse.so"));
    return build();
  }
}

/** dlopen(3): the library stays when its handle is closed. */
const RTLD_NODELETE = 0x1000;

/**
 * Loads the library into the process, where the addon finds it by its soname; the package's install script would copy it beside the
 * addon for that. It is not an addon itself, and that is the only possible complaint here; a missing library shows at its first use.
 */
function bringLibfuse(path: string): void {
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  } catch {
    return;
  }
}

/** @throws FsError ENOSYS if the optional package is not installed or has no build for this machine. */
export function loadAddon(): Addon {
  const binding = load();
  const call = (name: string, ...args: unknown[]): void => void (binding[name] as (...args: unknown[]) => unknown)(...args);
  return {
    stateBytes: binding["sizeof_fuse_thread_t"] as number,
    mount(at, options, { state, handlers, allocate }) {
      const implemented = new Uint32Array(TABLE_LENGTH);
      for (const name of OPERATIONS) implemented[binding[`op_${name}`] as number] = 1;
      call("fuse_native_mount", at, options, state, {}, allocate, handlers, implemented);
    },
    letGo: (at, state) => call("fuse_native_unmount", at, state),
    opcode: (name) => binding[`op_${name}`] as number,
    signal: (name) => binding[`fuse_native_signal_${name}`] as Signal,
  };
}

/** A table with every slot filled, since the addon refers to each. */
export function emptyTable(): RawHandler[] {
  return Array.from({ length: TABLE_LENGTH }, () => () => undefined);
}
