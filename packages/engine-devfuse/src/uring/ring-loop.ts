/**
 * Serves the requests that come by io_uring, on the event loop's thread: all that are ready, then one system call that
 * hands over the replies and fetches new requests, or sleeps a moment for them. The handshake, FORGET, INTERRUPT
 * and notifications use /dev/fuse, which the read loop still reads.
 */
import { encodeHeader, Opcode } from "@sluice/fuse-protocol";
import { type FuseRing, RING_LOOP_WORD, RING_LOST } from "@sluice/native";
import { type EngineEvents, Errno, errnoName } from "@sluice/vfs";
import { clock } from "../polling/clock.js";
import { AdaptiveBusyPoll } from "../polling/adaptive-busy-poll.js";
import type { ReadLoop } from "../device/read-loop.js";
import { RingEntries, type RingEntry } from "./ring-entries.js";
import type { Session } from "../session.js";

/** A few milliseconds of metadata operations: then timers, decisions and other sockets get their turn. */
const REQUESTS_PER_TURN = 256;

export interface RingLoopParts {
  readonly ring: FuseRing;
  readonly queues: number;
  readonly payloadBytes: number;
  readonly events: EngineEvents;
}

/** The session that serves requests, and the read loop of the same connection. */
export interface RingServed {
  readonly session: Session;
  readonly loop: ReadLoop;
}

export class RingLoop {
  readonly #parts: RingLoopParts;
  readonly #entries: RingEntries;
  readonly #busyPoll = new AdaptiveBusyPoll();
  #served: RingServed | undefined;
  #serving = false;
  #closed = false;

  constructor(parts: RingLoopParts) {
    this.#parts = parts;
    this.#entries = new RingEntries(parts, (entry) => this.#answered(entry));
  }

  /** Hands over entries for every queue: from the last of them on the kernel sends requests here. 0 or a negative errno. */
  start(served: RingServed): number {
    this.#served = served;
    const failure = this.#entries.start();
    if (failure < 0) return failure;
    this.#wake(false);
    return this.#entries.eachQueueHasOne ? Errno.OK : -Errno.EINVAL;
  }

  wake(): void {
    this.#wake(true);
  }

  #wake(mayLinger: boolean): void {
    if (this.#closed || this.#serving) return;
    const { ring, events } = this.#parts;
    this.#serving = true;
    ring.begin();
    try {
      this.#turns(mayLinger);
    } finally {
      this.#serving = false;
      const failure = this.#closed ? 0 : ring.end();
      if (failure < 0) events.anomaly("the ring takes no answers now; they are handed over again", { errno: errnoName(-failure) });
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#parts.ring.close();
  }

  /**
   * While all requests are answered at once, the system call that replies also waits for the next one. A request that waits has
   * promises to continue, which run in the event loop's next turn.
   */
  #turns(mayLinger: boolean): void {
    const { ring } = this.#parts;
    let served = 0;
    let linger = false;
    let allAnswered = mayLinger;
    while (served < REQUESTS_PER_TURN && !this.#closed) {
      const count: number = linger ? this.#linger() : ring.turn(false, 0);
      if (count > 0) {
        allAnswered = this.#serve(count) && allAnswered;
        linger = allAnswered;
        served += count;
      } else {
        const others = linger && count === 0 && ring.ready[RING_LOOP_WORD] === 1 ? this.#readDevice() : 0;
        if (others === 0) return;
        served += others;
      }
    }
  }

  /** Polls for the next request before the thread sleeps, as the read loop does. */
  #linger(): number {
    const busyPoll = this.#busyPoll;
    const lookUs = busyPoll.due ? busyPoll.limitUs : 0;
    const fromUs = clock.us;
    const count = this.#parts.ring.turn(true, lookUs);
    if (lookUs === 0) {
      busyPoll.skipped();
      return count;
    }
    clock.tick();
    busyPoll.polled(clock.us - fromUs, count > 0);
    return count;
  }

  /** FORGET and the like: most events of the event loop between requests. Returns their number. */
  #readDevice(): number {
    return this.#served?.loop.wake(false) ?? 0;
  }

  /** True if all were answered at once. */
  #serve(count: number): boolean {
    const { ready } = this.#parts.ring;
    let allAnswered = true;
    for (let i = 0; i < count && !this.#closed; i++) {
      const entry = this.#entries.at(ready[2 * i] as number);
      const length = ready[2 * i + 1] as number;
      if (length === RING_LOST) this.#entries.lose(entry);
      else if (this.#handle(entry, length)) allAnswered = false;
    }
    return allAnswered;
  }

  #handle(entry: RingEntry, length: number): boolean {
    const { session } = this.#served as RingServed;
    entry.answered = false;
    if (entry.request.opcode === Opcode.SETLKW && this.#entries.crowded(entry)) {
      this.#refuse(entry, Errno.ENOLCK);
      return false;
    }
    clock.tick();
    if (session.handle(entry.request, length)) {
      this.#entries.hold(entry);
      return true;
    }
    if (!entry.answered) this.#refuse(entry, Errno.EIO);
    return false;
  }

  /** Malformed requests, and requests without an answer on /dev/fuse, need one here: the entry would never come back. */
  #refuse(entry: RingEntry, errno: number): void {
    encodeHeader(entry.buffer.words, entry.request, errno, 0);
    entry.send();
  }

  #answered(entry: RingEntry): void {
    if (this.#closed) return;
    const { ring, events } = this.#parts;
    this.#entries.free(entry);
    const failure = ring.commit(entry.index);
    if (failure < 0) events.anomaly("the ring does not take a reply; its caller gets EIO", { errno: errnoName(-failure) });
    if (!this.#serving) ring.submit();
  }
}
