/**
 * The entries of a ring: each holds one request at a time, in memory that the kernel fills, and the room for its reply.
 *
 * A request that waits holds its entry until it is answered. Requests beyond a queue's entries wait in the kernel, and
 * only the next answer of that queue fetches them, and further entries do not: so all entries that a queue may need
 * exist from the start. They cost the kernel half a kilobyte each, and memory of ours only once they are used;
 * the kernel gives the entry that was used last to the next request.
 */
import { ByteBuffer, OUT_HEADER_BYTES, type ReplyRoom, Request } from "@sluice/fuse-protocol";
import { Errno } from "@sluice/vfs";
import type { RingLoopParts } from "./ring-loop.js";

/** That many threads may wait at once for each processor that they called from. */
const OF_QUEUE = { most: 512, least: 8 } as const;
const OF_ALL = 8192;
/** The last entries of a queue are for requests that do not wait for another one: see `crowded`. */
const RESERVED = 4;

export class RingEntry implements ReplyRoom {
  readonly request: Request;
  answered = true;
  held = false;
  readonly #onAnswer: (entry: RingEntry) => void;

  constructor(
    readonly index: number,
    readonly queue: number,
    readonly buffer: ByteBuffer,
    parts: { request: ByteBuffer; onAnswer: (entry: RingEntry) => void },
  ) {
    this.request = new Request(parts.request, this);
    this.#onAnswer = parts.onAnswer;
  }

  send(): void {
    this.answered = true;
    this.#onAnswer(this);
  }
}

/** The number of entries of each queue, for that many queues. */
export function entriesOfQueue(queues: number): number {
  return Math.max(OF_QUEUE.least, Math.min(OF_QUEUE.most, Math.floor(OF_ALL / queues)));
}

interface Queue {
  readonly memory: ArrayBuffer;
  entries: number;
  held: number;
}

export class RingEntries {
  readonly #parts: RingLoopParts;
  readonly #onAnswer: (entry: RingEntry) => void;
  /** Created at their first use. */
  readonly #entries: (RingEntry | undefined)[] = [];
  readonly #queues: Queue[] = [];
  #ofQueue: number;

  constructor(parts: RingLoopParts, onAnswer: (entry: RingEntry) => void) {
    this.#parts = parts;
    this.#onAnswer = onAnswer;
    this.#ofQueue = entriesOfQueue(parts.queues);
  }

  /** 0 or a negative errno. Uses less if so much address space is not available. */
  start(): number {
    let failure = this.#add();
    while (failure === -Errno.ENOMEM && this.#queues.length === 0 && this.#ofQueue > OF_QUEUE.least) {
      this.#ofQueue = Math.floor(this.#ofQueue / 2);
      failure = this.#add();
    }
    while (failure === 0 && this.#queues.length < this.#parts.queues) failure = this.#add();
    return failure;
  }

  at(index: number): RingEntry {
    return this.#entries[index] ?? this.#make(index);
  }

  get eachQueueHasOne(): boolean {
    return this.#queues.every((queue) => queue.entries > 0);
  }

  /** So many requests of its queue wait that one more might be the last, and the request that ends the wait would not get through. */
  crowded(entry: RingEntry): boolean {
    const queue = this.#queueOf(entry);
    return queue.held + RESERVED >= queue.entries;
  }

  hold(entry: RingEntry): void {
    if (entry.answered) return;
    entry.held = true;
    this.#queueOf(entry).held += 1;
  }

  free(entry: RingEntry): void {
    if (entry.held) this.#queueOf(entry).held -= 1;
    entry.held = false;
  }

  /** The kernel took it back: the connection is over, or the entry was never taken. */
  lose(entry: RingEntry): void {
    this.free(entry);
    this.#queueOf(entry).entries -= 1;
  }

  #queueOf(entry: RingEntry): Queue {
    return this.#queues[entry.queue] as Queue;
  }

  /** One more queue. */
  #add(): number {
    const memory = this.#parts.ring.add(this.#queues.length, this.#ofQueue);
    if (typeof memory === "number") return memory;
    this.#queues.push({ memory, entries: this.#ofQueue, held: 0 });
    return Errno.OK;
  }

  #make(index: number): RingEntry {
    const { ring, payloadBytes } = this.#parts;
    const number = Math.floor(index / this.#ofQueue);
    const { memory } = this.#queues[number] as Queue;
    const offset = (index % this.#ofQueue) * ring.entryBytes;
    const buffer = new ByteBuffer(OUT_HEADER_BYTES + payloadBytes, { memory, offset: offset + ring.replyAt });
    const request = new ByteBuffer(ring.entryBytes - ring.requestAt, { memory, offset: offset + ring.requestAt });
    const entry = new RingEntry(index, number, buffer, { request, onAnswer: this.#onAnswer });
    this.#entries[index] = entry;
    return entry;
  }
}
