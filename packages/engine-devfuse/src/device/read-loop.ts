/**
 * Reads requests while there are any, on the event loop's thread: read, dispatch, write, without a promise in between.
 * A turn is bounded, so that timers, decisions and other sockets get their turn; uv_poll is level-triggered and calls again.
 */
import type { Request } from "@sluice/fuse-protocol";
import { Errno } from "@sluice/vfs";
import type { RequestPool } from "../requests/buffer-pools.js";
import type { Channel } from "./channel.js";
import { clock } from "../polling/clock.js";
import type { InFlight } from "../requests/interrupts.js";
import { AdaptiveBusyPoll } from "../polling/adaptive-busy-poll.js";
import { connections } from "../polling/connections.js";
import type { Session } from "../session.js";

/** A few milliseconds of metadata operations, including their waits. */
const REQUESTS_PER_TURN = 128;
/** Since its first request: a request can take as long as a disk does. */
const TURN_US = 2_500;
/** Of a connection that shares the thread: the others wait for its turn. A turn of the event loop itself takes some 8 us, a look-up 10. */
const SHARED_TURN_US = 100;

export interface ReadLoopParts {
  readonly channel: Channel;
  readonly session: Session;
  readonly requests: RequestPool;
  readonly inFlight: InFlight;
  /** The connection is over; the errno is set if this is not its usual end (ENODEV, ECONNABORTED). */
  onEnd(unusualErrno: number): void;
}

export class ReadLoop {
  readonly #parts: ReadLoopParts;
  readonly #busyPoll = new AdaptiveBusyPoll();
  #request: Request;
  #lingered = 0;
  #over = false;

  constructor(parts: ReadLoopParts) {
    this.#parts = parts;
    this.#request = parts.requests.take();
  }

  /**
   * The descriptor became readable, or the poller gave up (`failed`), as it does when the connection ends. Returns the number
   * of requests.
   */
  wake(failed: boolean): number {
    this.#lingered = 0;
    const served = this.#turn(false);
    if (failed) this.#end(0);
    return served;
  }

  /**
   * A request that waited was answered, outside of any turn: its client may send the next one at once. Bounded as a turn is:
   * if the requests wait for promises alone, the event loop gets no turn of its own in between. Others that share the thread
   * would wait for that.
   */
  linger(): void {
    if (connections.several || this.#parts.inFlight.size > 0 || this.#lingered >= REQUESTS_PER_TURN) return;
    this.#lingered += this.#turn(true);
  }

  /** Stops reading: the channel's descriptor belongs to another process, or is about to be closed. */
  stop(): void {
    this.#over = true;
  }

  /** Reads again after a stop. The connection must not have ended. */
  restart(): void {
    this.#over = false;
  }

  #turn(answered: boolean): number {
    let served = 0;
    let endUs = 0;
    const limitUs = connections.several ? SHARED_TURN_US : TURN_US;
    for (let i = 0; i < REQUESTS_PER_TURN && !this.#over; i++) {
      const length = this.#next(answered || i > 0);
      if (i === 0) endUs = clock.us + limitUs;
      if (length > 0) {
        this.#dispatch(length);
        served += 1;
        if (clock.us >= endUs) break;
      } else if (!this.#goesOn(length)) break;
    }
    return served;
  }

  /** Polls after an answer, as the client's next request may be on its way, unless a request of ours waits for an answer. */
  #next(answered: boolean): number {
    const { channel, inFlight } = this.#parts;
    const { buffer } = this.#request;
    const busyPoll = this.#busyPoll;
    if (!answered || !busyPoll.due || channel.readWithin === undefined || inFlight.size > 0) {
      const length = channel.read(buffer.bytes, buffer.sizeBytes);
      if (answered && length === -Errno.EAGAIN) busyPoll.skipped();
      return length;
    }
    // The time of the last reply.
    const fromUs = clock.us;
    const late = channel.readWithin(buffer.bytes, buffer.sizeBytes, busyPoll.limitUs);
    busyPoll.polled(clock.us - fromUs, late > 0);
    return late;
  }

  #dispatch(length: number): void {
    if (this.#parts.session.handle(this.#request, length)) this.#request = this.#parts.requests.take();
  }

  /** ENOENT: the request was withdrawn while it was read. */
  #goesOn(result: number): boolean {
    if (result === -Errno.EINTR || result === -Errno.ENOENT) return true;
    if (result !== -Errno.EAGAIN) this.#end(result === -Errno.ENODEV || result === -ECONNABORTED ? 0 : -result);
    return false;
  }

  #end(unusualErrno: number): void {
    if (this.#over) return;
    this.#over = true;
    this.#parts.onEnd(unusualErrno);
  }
}

const ECONNABORTED = 103;
