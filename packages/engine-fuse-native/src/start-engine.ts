/** Assembles the engine, in the order of its life: addon, filesystem, mount, serve, end. */
import {
  type Engine,
  type EngineEvents,
  Errno,
  type Filesystem,
  FsError,
  type KernelPort,
  type MountOptions,
  type Negotiated,
  type StartEngine,
} from "@sluice/vfs";
import { type Addon, loadAddon } from "./addon/addon.js";
import { abortConnection, connectionAt, findCommand, fuseDescriptors, isFuseDescriptor, unmountAt } from "./mount/mount-point.js";
import { MAX_IO_BYTES, optionString, textOf } from "./mount/mount-options.js";
import { Session } from "./requests/session.js";

/** How often to check whether libfuse has closed the connection: no event reports it. */
const LOOK_MS = 100;
/** Memory that the addon and the event loop point into for good: its handles are never closed. */
const lent = new Set<Buffer>();

/** libfuse 2.9 negotiates this, whatever the kernel offers. */
const NEGOTIATED: Negotiated = {
  protocol: { major: 7, minor: 19 },
  maxStackDepth: 0,
  maxWriteBytes: MAX_IO_BYTES,
  posixAcl: false,
  killprivV2: false,
  posixLocks: false,
  flockLocks: false,
  flags: ["ASYNC_READ", "BIG_WRITES"],
};

/** Passthrough and notifications are not available: the first is refused as the kernel would, the second need not fail. */
const port: KernelPort = {
  negotiated: NEGOTIATED,
  separatesOpens: false,
  openBacking: () => -Errno.EPERM,
  closeBacking: () => undefined,
  invalidateInode: () => undefined,
  dropPages: () => Promise.resolve(false),
  dropAttributes: () => undefined,
  invalidateEntry: () => undefined,
  notifyDelete: () => undefined,
};

/** @param around for programs that must prepare for libfuse's threads and descriptors: see this package's README */
export const startEngine = (
  ...[options, makeFilesystem, events, around = (mount) => mount()]: [...Parameters<StartEngine>, around?: AroundMount]
): Engine => {
  const addon = loadAddon();
  const { inTurn = (mount) => mount() } = options;
  const path = textOf(options.mountpoint, "the mount point");
  const filesystem = makeFilesystem(port);
  const engine = new PortableEngine({ addon, path, filesystem, events, around });
  try {
    inTurn(() => engine.mount(options));
  } catch (error) {
    void filesystem.destroy();
    throw error;
  }
  return engine;
};

/** Runs libfuse's mount, which starts its threads and opens its descriptors. */
export type AroundMount = (mount: () => void) => void;

interface Parts {
  readonly addon: Addon;
  /** The mount point, as text. */
  readonly path: string;
  readonly filesystem: Filesystem;
  readonly events: EngineEvents;
  readonly around: AroundMount;
}

class PortableEngine implements Engine {
  readonly port = port;
  readonly transport = { name: "read", why: "libfuse 2.9 knows no other" } as const;
  readonly idlePolling = {
    wish: "off",
    why: "the engine fuse-native does not see its requests come",
    phase: "off",
    gainUs: 0,
    holds: 0,
    heldMs: 0,
  } as const;
  readonly ready: Promise<Negotiated>;
  readonly ended: Promise<void>;
  readonly #parts: Parts;
  readonly #session: Session;
  readonly #state: Buffer;
  #connection: string | undefined;
  #resolveReady: (negotiated: Negotiated) => void = () => undefined;
  #rejectReady: (error: FsError) => void = () => undefined;
  #resolveEnded: () => void = () => undefined;
  #over = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#session = new Session(parts.filesystem, parts.events);
    this.#state = lend(parts.addon.stateBytes);
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => undefined);
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  mount(options: MountOptions): void {
    const { addon, path, around } = this.#parts;
    const how = { asRoot: process.geteuid?.() === 0, autoUnmount: findCommand("fusermount") !== undefined };
    const before = fuseDescriptors();
    const handlers = this.#session.handlers(addon, () => this.#resolveReady(NEGOTIATED));
    try {
      around(() => addon.mount(path, optionString(options, how), { state: this.#state, handlers, allocate: lend }));
    } catch (cause) {
      if (cause instanceof FsError) throw cause;
      throw new FsError(Errno.EPERM, `libfuse cannot mount on ${path}: ${remedy(how)}`, { cause });
    }
    this.#connection = connectionAt(options.mountpoint);
    const fd = [...fuseDescriptors()].find((now) => !before.has(now));
    this.#watch(fd);
  }

  inFlight(): number {
    return this.#session.inFlight;
  }

  unmount(lazy: boolean): Promise<number> {
    return unmountAt(this.#parts.path, lazy);
  }

  abort(): void {
    if (this.#over) return;
    this.#session.interruptAll();
    void abortConnection(this.#connection, this.#parts.path);
  }

  #watch(fd: number | undefined): void {
    const timer = setInterval(() => {
      if (fd !== undefined && isFuseDescriptor(fd)) return;
      clearInterval(timer);
      void this.#end();
    }, LOOK_MS);
  }

  /** libfuse has joined its threads: every callback was answered. */
  async #end(): Promise<void> {
    const { addon, path, events, filesystem } = this.#parts;
    this.#over = true;
    this.#rejectReady(new FsError(Errno.ENOTCONN, `the mount on ${path} ended before it was ready`));
    addon.letGo(path, this.#state);
    try {
      this.#session.server.walk.end();
      await filesystem.destroy();
    } catch (error) {
      events.anomaly("destroying the filesystem failed", { error });
    }
    this.#resolveEnded();
  }
}

function lend(sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  lent.add(bytes);
  return bytes;
}

function remedy(how: { asRoot: boolean; autoUnmount: boolean }): string {
  if (!how.asRoot && !how.autoUnmount) return "only root mounts without fusermount; install fuse3 or run as root";
  return "see what it printed above; the mount point must be an empty directory of yours and /dev/fuse must be there";
}
