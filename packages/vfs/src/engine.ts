/** The interface of every engine to the mount service. See ARCHITECTURE.md for a request's way through it. */
import type { EngineCapabilities } from "./engine-capabilities.js";
import type { Filesystem } from "./filesystem.js";
import type { BackingRegistrar, KernelPort, Negotiated } from "./kernel-port.js";

export interface EngineEvents {
  /** A request's end, for metrics: opcode name, positive errno (0: fine), and how long it took in whole microseconds. */
  request(operation: string, errno: number, durationUs: number): void;
  /** A malformed or unknown request, or a bug in a filesystem, which the engine survived. */
  anomaly(message: string, detail: Record<string, unknown>): void;
}

/** A connection to the kernel that another process mounted and may hold beyond the engine's end: the keeper. */
export interface KernelConnection {
  /** /dev/fuse, non-blocking. The engine closes it. */
  readonly fuseFd: number;
  /**
   * The agreement of a former server with the kernel: no INIT comes, and the engine continues. Undefined: the handshake is still to
   * come.
   */
  readonly negotiated: Negotiated | undefined;
  /** Registers backing files. Undefined: the engine does it itself. */
  readonly registrar: BackingRegistrar | undefined;
  /** As `Engine.unmount`. */
  unmount(lazy: boolean): Promise<number>;
  /** Ends the connection at once. False if it cannot: then only closing the descriptor ends it. */
  abort(): boolean;
  /** The filesystem could not be created: unmounts before any request is served. */
  giveUp(): void;
}

/** Requests whose effect must not happen twice, recorded from their beginning until the kernel has the answer. */
export interface RequestJournal {
  /** The request's record, that of an earlier process if it comes again; 0 if there is no room. */
  begin(uniqueLo: number, uniqueHi: number, opcode: number): number;
  /** Stores the answer that is about to be written. */
  answer(record: number, bytes: Uint8Array, length: number): void;
  end(record: number): void;
  /** The record of an earlier process, if one was left with an answer; else 0. */
  findAnswered(uniqueLo: number, uniqueHi: number): number;
  answerOf(record: number): Uint8Array;
}

export interface MountOptions {
  mountpoint: string;
  /** First column of /proc/mounts. */
  source: string;
  /** The type shows as fuse.SUBTYPE. */
  subtype: string;
  /** MS_ flags of mount(2). */
  flags: number;
  allowOther: boolean;
  /** The stack depth to request: 1 or 2; 0 requests no passthrough. */
  maxStackDepth: 0 | 1 | 2;
  maxWriteBytes: number;
  /** The filesystem manages locks: it has `getlk` and `setlk`. Default: the kernel's own. */
  locks?: boolean;
  /** Makes the connection. Without it the engine mounts by itself. The portable engine ignores it. */
  connect?: () => KernelConnection;
  /** Calls `mount` in its turn among the mounts of the mount point. It throws if another one has the place. Default: at once. */
  inTurn?: <T>(mount: () => T) => T;
  /** The record of requests, so that a process that takes over does none of them twice. */
  requests?: RequestJournal | undefined;
  /** The wanted transport of requests, if the engine has a choice. Default: auto. */
  transport?: RequestedTransport;
  /** The reason why io_uring must not be used for this mount, although it is available. */
  withoutUring?: string | undefined;
  /** Whether idle processors poll while requests follow one another. Default: off. */
  idlePolling?: RequestedIdlePolling;
}

/** auto: io_uring if it is available, else read(2); uring: io_uring or an error. */
export type RequestedTransport = "auto" | "uring" | "read";

export interface TransportInUse {
  readonly name: "uring" | "read";
  /** The reason for not using io_uring; "" with it. */
  readonly why: string;
}

/** auto: on machines of few processors, if a gain was measured; on: whenever requests follow one another. */
export type RequestedIdlePolling = "auto" | "on" | "off";

export interface IdlePollingInUse {
  readonly wish: RequestedIdlePolling;
  /** The reason why it is impossible; "" if it is possible. */
  readonly why: string;
  /** off: idle processors halt. trial: they poll, to measure it. held: they poll. */
  readonly phase: "off" | "trial" | "held";
  /** The last measured gain for each request, microseconds; 0 if none. */
  readonly gainUs: number;
  /** How often they began to poll, and for how long in total, in milliseconds. */
  readonly holds: number;
  readonly heldMs: number;
}

export interface Engine {
  readonly port: KernelPort;
  /** Resolves when INIT was answered: from then on requests are served. */
  readonly ready: Promise<Negotiated>;
  /** Resolves when the connection has ended (unmounted, aborted), after Filesystem.destroy. */
  readonly ended: Promise<void>;
  /** Final once `ready` has resolved. */
  readonly transport: TransportInUse;
  readonly idlePolling: IdlePollingInUse;
  /** Requests that wait for an answer. */
  inFlight(): number;
  /**
   * Reads no more requests, so that another process can: resolves when the read ones are answered, except those that wait
   * for a lock (they come again), or after `limitMs` (false). Absent if no other process can continue the connection.
   */
  drain?(limitMs: number): Promise<boolean>;
  /**
   * Reads no more requests until the function that it resolves to is called, once the read ones are answered, except those that wait for a
   * lock. Undefined if that takes longer than `limitMs`, or if the engine cannot wait now. Absent if it never can.
   */
  hold?(limitMs: number): Promise<(() => void) | undefined>;
  /** Unmounts, off the event loop; a positive errno if it fails (EBUSY). Lazily (MNT_DETACH) if asked. */
  unmount(lazy: boolean): Promise<number>;
  /** Ends the connection at once: every caller gets ENOTCONN. */
  abort(): void;
}

/**
 * Makes the filesystem once the port exists, mounts, and serves. `makeFilesystem` must not wait for the kernel.
 */
export type StartEngine = (options: MountOptions, makeFilesystem: (port: KernelPort) => Filesystem, events: EngineEvents) => Engine;

/** An engine to choose from. */
export interface EngineKind {
  /** As typed after --engine. */
  readonly name: string;
  readonly start: StartEngine;
  readonly capabilities: EngineCapabilities;
}
