/**
 * The transport of requests: read(2) on /dev/fuse, or io_uring beside it. The ring is made before the handshake, since from
 * the handshake's answer on the kernel holds requests back until the ring is in use; it takes requests after it.
 */
import { closeSync, openSync, readFileSync } from "node:fs";
import { type FuseRing, native, type Poller } from "@sluice/native";
import { type EngineEvents, Errno, errnoName, FsError, type TransportInUse, type RequestedTransport } from "@sluice/vfs";
import { countProcessors } from "./polling/processors.js";
import { entriesOfQueue } from "./uring/ring-entries.js";
import { RingLoop, type RingServed } from "./uring/ring-loop.js";

const PARAMETER = "/sys/module/fuse/parameters/enable_uring";
/** The largest request or reply: max_pages of init.ts, and no less than the largest write. */
const PAYLOAD_BYTES = 1024 * 1024;

export interface TransportChoice {
  readonly fuseFd: number;
  readonly requested: RequestedTransport;
  /** The reason why io_uring must not be used, although it is available. */
  readonly without: string | undefined;
}

export class Transport {
  #loop: RingLoop | undefined;
  #poller: Poller | undefined;
  #why = "";
  readonly #requested: RequestedTransport;

  /** FsError if io_uring is required and not available. */
  constructor({ fuseFd, requested, without }: TransportChoice, events: EngineEvents) {
    this.#requested = requested;
    const reason = requested === "read" ? "--transport read was asked for" : without;
    const made = reason === undefined ? makeRing(fuseFd) : { problem: reason, remedy: "" };
    if ("problem" in made) {
      this.#without(made.remedy === "" ? made.problem : `${made.problem}: ${made.remedy}`);
      return;
    }
    const loop = new RingLoop({ ...made, payloadBytes: PAYLOAD_BYTES, events });
    this.#loop = loop;
    this.#poller = native.poll(made.ring.eventFd, () => loop.wake());
  }

  /** A ring exists: request it from the kernel. */
  get wanted(): boolean {
    return this.#loop !== undefined;
  }

  get inUse(): TransportInUse {
    return this.#loop === undefined ? { name: "read", why: this.#why } : { name: "uring", why: "" };
  }

  /**
   * The handshake was answered. FsError as above, and if the ring was negotiated but cannot be started (root switched it
   * off meanwhile): the kernel then holds all requests back for the ring, so read(2) could never serve any.
   */
  begin(agreed: boolean, served: RingServed): void {
    if (this.#loop === undefined) return;
    if (!agreed) {
      this.#without("the kernel does not offer it to this mount");
      return;
    }
    const failure = this.#loop.start(served);
    if (failure >= 0) return;
    this.close();
    this.#loop = undefined;
    throw new FsError(Errno.EOPNOTSUPP, `the kernel does not take the ring that it offered (${errnoName(-failure)}): use --transport read`);
  }

  /** Serves what is ready in the ring: before /dev/fuse is read, so that no INTERRUPT overtakes its request. */
  wake(): void {
    this.#loop?.wake();
  }

  close(): void {
    this.#poller?.close();
    this.#loop?.close();
    this.#poller = undefined;
  }

  #without(why: string): void {
    this.close();
    this.#loop = undefined;
    this.#why = why;
    if (this.#requested === "uring") throw new FsError(Errno.EOPNOTSUPP, `no FUSE over io_uring: ${why}`);
  }
}

export interface UringLack {
  readonly problem: string;
  readonly remedy: string;
}

/** The reason why FUSE over io_uring is unavailable, as far as that shows without a mount, or undefined. */
export function whyNoUring(): UringLack | undefined {
  const parameter = enableUring();
  if (parameter === undefined)
    return { problem: "the kernel has no FUSE over io_uring", remedy: "use Linux 6.14 or later with CONFIG_FUSE_IO_URING=y" };
  if (!parameter)
    return { problem: "FUSE over io_uring is switched off", remedy: `as root: echo Y > ${PARAMETER}; mounts made from then on use it` };
  return whyNoRing();
}

/** Creates one, on any file. */
function whyNoRing(): UringLack | undefined {
  const fd = openSync("/dev/null", "r");
  const probe = native.fuseRing(fd, 1, 1);
  closeSync(fd);
  if (typeof probe === "number") return refusal(-probe);
  probe.close();
  return undefined;
}

function makeRing(fuseFd: number): { ring: FuseRing; queues: number } | UringLack {
  const why = whyNoUring();
  if (why !== undefined) return why;
  // The kernel has a queue for each, online or not, and uses none before all have an entry.
  const queues = countProcessors("possible");
  const ring = native.fuseRing(fuseFd, queues * entriesOfQueue(queues), PAYLOAD_BYTES);
  return typeof ring === "number" ? refusal(-ring) : { ring, queues };
}

function refusal(errno: number): UringLack {
  const denied = errno === Errno.EPERM || errno === Errno.EACCES || errno === Errno.ENOSYS;
  const problem = `this process may not use io_uring (${errnoName(errno)})`;
  return { problem, remedy: denied ? "let the seccomp profile and kernel.io_uring_disabled allow it" : "see the errno" };
}

function enableUring(): boolean | undefined {
  try {
    return readFileSync(PARAMETER, "latin1").startsWith("Y");
  } catch {
    return undefined;
  }
}
