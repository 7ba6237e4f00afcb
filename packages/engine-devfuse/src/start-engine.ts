/** Assembles the engine, in the order of its life: connection, handshake, serve, end. */
import { connectHere } from "@sluice/keeper-link";
import { ByteBuffer, encodeResend, OUT_HEADER_BYTES } from "@sluice/fuse-protocol";
import { native, type Poller } from "@sluice/native";
import {
  type Engine,
  type EngineEvents,
  Errno,
  type Filesystem,
  FsError,
  type IdlePollingInUse,
  type KernelConnection,
  type KernelPort,
  type MountOptions,
  type Negotiated,
  type StartEngine,
  type TransportInUse,
} from "@sluice/vfs";
import { Agreement } from "./connection/agreement.js";
import { type Channel, deviceChannel } from "./device/channel.js";
import type { Forgets } from "./connection/forgets.js";
import { connections } from "./polling/connections.js";
import { IdlePolling } from "./polling/idle-polling.js";
import { InFlight } from "./requests/interrupts.js";
import { Notifications } from "./device/notify.js";
import type { ReadLoop } from "./device/read-loop.js";
import { deviceRegistrar } from "./device/registrar.js";
import { Replies } from "./requests/replies.js";
import type { RingServed } from "./uring/ring-loop.js";
import { serveChannel } from "./serve-channel.js";
import { Transport } from "./transport.js";

/** How long methods that still wait when the connection ends may take to notice it, before the filesystem is destroyed. */
const DRAIN_LIMIT_MS = 5000;

export const startEngine: StartEngine = (options, makeFilesystem, events) => {
  const { connect = (): KernelConnection => connectHere(options), inTurn = (mount) => mount() } = options;
  const connection = inTurn(connect);
  const engine = new DeviceEngine(connection, makeTransport(connection, options, events), options, events);
  try {
    engine.serve(makeFilesystem(engine.port));
  } catch (error) {
    engine.giveUp();
    throw error;
  }
  return engine;
};

function makeTransport(at: KernelConnection, { transport, withoutUring }: MountOptions, events: EngineEvents): Transport {
  try {
    return new Transport({ fuseFd: at.fuseFd, requested: transport ?? "auto", without: withoutUring }, events);
  } catch (error) {
    at.giveUp();
    throw error;
  }
}

class DeviceEngine implements Engine {
  readonly port: KernelPort;
  readonly ready: Promise<Negotiated>;
  readonly ended: Promise<void>;
  readonly #at: KernelConnection;
  readonly #options: MountOptions;
  readonly #events: EngineEvents;
  readonly #agreement = new Agreement();
  readonly #inFlight = new InFlight();
  readonly #notifications: Notifications;
  readonly #channel: Channel;
  readonly #replies: Replies;
  readonly #transport: Transport;
  readonly #idlePolling: IdlePolling;
  #poller: Poller | undefined;
  #loop: ReadLoop | undefined;
  #forgets: Forgets | undefined;
  #filesystem: Filesystem | undefined;
  #ending = false;
  /** No request is read until the hold ends. */
  #held = false;
  #resolveReady: (negotiated: Negotiated) => void = () => undefined;
  #rejectReady: (error: FsError) => void = () => undefined;
  #resolveEnded: () => void = () => undefined;

  constructor(at: KernelConnection, transport: Transport, options: MountOptions, events: EngineEvents) {
    this.#at = at;
    this.#options = options;
    this.#events = events;
    this.#notifications = new Notifications(at.fuseFd, this.#agreement);
    this.#channel = deviceChannel(at.fuseFd);
    this.#replies = new Replies(this.#channel, options.requests);
    this.#transport = transport;
    this.#idlePolling = new IdlePolling(options.idlePolling ?? "off");
    connections.begun();
    if (at.negotiated !== undefined) this.#agreement.record(at.negotiated);
    this.port = makePort(at, this.#agreement, this.#notifications, () => this.#ending);
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => undefined);
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  serve(filesystem: Filesystem): void {
    this.#filesystem = filesystem;
    const { maxStackDepth, maxWriteBytes, locks = false } = this.#options;
    const { loop, session, forgets } = serveChannel({
      channel: this.#channel,
      filesystem,
      agreement: this.#agreement,
      inFlight: this.#inFlight,
      replies: this.#replies,
      requested: { maxStackDepth, maxWriteBytes, locks, uring: this.#transport.wanted },
      events: this.#events,
      journal: this.#options.requests,
      idlePolling: this.#idlePolling,
      onReady: (negotiated) => this.#begin(negotiated, { session, loop }),
      onRefused: (error) => this.#refused(error),
      onEnd: (errno) => this.#onEnd(errno),
    });
    this.#loop = loop;
    this.#forgets = forgets;
    if (this.#at.negotiated !== undefined) this.#resume(this.#at.negotiated);
    this.#read(loop);
  }

  #read(loop: ReadLoop): void {
    this.#poller = native.poll(this.#at.fuseFd, (status) => {
      this.#transport.wake();
      loop.wake(status < 0);
    });
  }

  #stopReading(): void {
    this.#poller?.close();
    this.#poller = undefined;
    this.#loop?.stop();
  }

  get transport(): TransportInUse {
    return this.#transport.inUse;
  }

  get idlePolling(): IdlePollingInUse {
    return this.#idlePolling.inUse;
  }

  /** A process before this one served the connection: the kernel first resends the requests that it read and did not answer. */
  #resume(negotiated: Negotiated): void {
    if (negotiated.flags.includes("HAS_RESEND")) {
      const buffer = new ByteBuffer(OUT_HEADER_BYTES);
      const status = this.#channel.write(buffer.bytes, encodeResend(buffer));
      if (status < 0) this.#events.anomaly("the kernel does not send again what was not answered", { errno: -status });
    }
    this.#resolveReady(negotiated);
  }

  inFlight(): number {
    return this.#inFlight.size;
  }

  drain(limitMs: number): Promise<boolean> {
    this.#held = false;
    this.#stopReading();
    this.#forgets?.finish();
    this.#idlePolling.close();
    return this.#inFlight.idleButForLocks(limitMs);
  }

  /** Requests of a ring are with this process already. */
  async hold(limitMs: number): Promise<(() => void) | undefined> {
    const loop = this.#loop;
    if (loop === undefined || this.#poller === undefined || this.#transport.inUse.name !== "read") return undefined;
    this.#held = true;
    this.#stopReading();
    const release = (): void => {
      if (!this.#held || this.#ending) return;
      this.#held = false;
      loop.restart();
      this.#read(loop);
    };
    if (await this.#inFlight.idleButForLocks(limitMs)) return release;
    release();
    return undefined;
  }

  unmount(lazy: boolean): Promise<number> {
    return this.#at.unmount(lazy);
  }

  abort(): void {
    if (!this.#ending && !this.#at.abort()) this.#onEnd(0);
  }

  /** The filesystem could not be created: no request was served yet. */
  giveUp(): void {
    this.#ending = true;
    connections.ended();
    this.#transport.close();
    this.#idlePolling.close();
    this.#notifications.close();
    this.#at.giveUp();
  }

  /** Requests come from here on, by the available transport. */
  #begin(negotiated: Negotiated, served: RingServed): void {
    try {
      this.#transport.begin(negotiated.flags.includes("OVER_IO_URING"), served);
    } catch (error) {
      this.#refused(error instanceof FsError ? error : new FsError(Errno.EIO, "the ring cannot be started", { cause: error }));
      return;
    }
    this.#resolveReady(negotiated);
  }

  /** A caller that came meanwhile must not wait for a server that will not serve. */
  #refused(error: FsError): void {
    this.#rejectReady(error);
    const end = (): void => this.abort();
    this.unmount(true).then(end, end);
  }

  #onEnd(unusualErrno: number): void {
    if (this.#ending) return;
    this.#ending = true;
    connections.ended();
    if (unusualErrno !== 0) this.#events.anomaly("reading /dev/fuse failed; the connection is given up", { errno: unusualErrno });
    this.#rejectReady(new FsError(Errno.ENOTCONN, `the mount on ${this.#options.mountpoint} ended before it was ready`));
    this.#replies.close();
    this.#poller?.close();
    this.#transport.close();
    this.#idlePolling.close();
    this.#loop?.stop();
    this.#notifications.close();
    native.close(this.#at.fuseFd);
    this.#finish().then(this.#resolveEnded, this.#resolveEnded);
  }

  async #finish(): Promise<void> {
    this.#inFlight.interruptAll();
    if (await this.#inFlight.idle(DRAIN_LIMIT_MS)) return this.#destroy();
    this.#events.anomaly("methods still wait although the connection has ended", { inFlight: this.#inFlight.size });
    // A write that waits for a thread of the pool would change whatever file had the number of its descriptor by then.
    void this.#inFlight.ended().then(() => this.#destroy());
  }

  async #destroy(): Promise<void> {
    try {
      await this.#filesystem?.destroy();
    } catch (error) {
      this.#events.anomaly("destroying the filesystem failed", { error });
    }
  }
}

function makePort(
  { fuseFd, registrar }: KernelConnection,
  agreement: Agreement,
  notifications: Notifications,
  ended: () => boolean,
): KernelPort {
  const backings = registrar ?? deviceRegistrar(fuseFd, agreement);
  return {
    // Ids end with their connection, and the descriptor's number may be another file's by now.
    openBacking: (fd, readOnly) => (ended() ? -Errno.ENOTCONN : backings.openBacking(fd, readOnly)),
    closeBacking: (backingId) => {
      if (!ended()) backings.closeBacking(backingId);
    },
    get negotiated() {
      return agreement.negotiated;
    },
    separatesOpens: true,
    invalidateInode: (node, offset, length) => notifications.invalidateInode(node, offset, length),
    dropPages: (node) => notifications.dropPages(node),
    dropAttributes: (node) => notifications.dropAttributes(node),
    invalidateEntry: (parent, name, expireOnly) => notifications.invalidateEntry(parent, name, expireOnly),
    notifyDelete: (parent, child, name) => notifications.notifyDelete(parent, child, name),
  };
}
