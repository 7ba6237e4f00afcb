/**
 * The entries of a ring: each holds one request at a time, in memory that the kernel fills, and the room for its reply.
 * A request that waits holds its entry until it is answered. Requests beyond a queue's entries wait in the kernel, those
 * that would end the waiting too: so a queue that runs low gets more, up to a limit.
 */
import { ByteBuffer, OUT_HEADER_BYTES, type ReplyRoom, Request } from "@sluice/fuse-protocol";
import type { FuseRing } from "@sluice/native";
import { Errno, errnoName } from "@sluice/vfs";
import type { RingLoopParts } from "./ring-loop.js";

/** Entries at the start, of all queues together: none of a queue's is likely to be missed before there are more. */
const FIRST_ENTRIES = 128;
const FIRST_OF_QUEUE = { least: 8, most: 32 } as const;
/** An entry whose request waits has used two pages of its memory at least, and a megabyte at most. */
const ALL_ENTRIES = 16384;
const MOST_OF_QUEUE = 1024;

export class RingEntry implements ReplyRoom {
  readonly request: Request;
  answered = true;
  held = false;

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

  readonly #onAnswer: (entry: RingEntry) => void;
}

function firstOfQueue(queues: number): number {
  return Math.min(FIRST_OF_QUEUE.most, Math.max(FIRST_OF_QUEUE.least, Math.floor(FIRST_ENTRIES / queues)));
}

/** How many entries each queue may come to have. */
export function mostOfQueue(queues: number): number {
  return Math.max(firstOfQueue(queues), Math.min(MOST_OF_QUEUE, Math.floor(ALL_ENTRIES / queues)));
}

export class RingEntries {
  readonly #parts: RingLoopParts;
  readonly #onAnswer: (entry: RingEntry) => void;
  readonly #entries: RingEntry[] = [];
  readonly #queues: { entries: number; held: number }[] = [];
  readonly #step: number;
  readonly #most: number;

  constructor(parts: RingLoopParts, onAnswer: (entry: RingEntry) => void) {
    this.#parts = parts;
    this.#onAnswer = onAnswer;
    this.#step = firstOfQueue(parts.queues);
    this.#most = mostOfQueue(parts.queues);
  }

  /** 0 or a negative errno. */
  start(): number {
    for (let queue = 0; queue < this.#parts.queues; queue++) {
      this.#queues.push({ entries: 0, held: 0 });
      const failure = this.#add(queue);
      if (failure < 0) return failure;
    }
    return Errno.OK;
  }

  at(index: number): RingEntry {
    return this.#entries[index] as RingEntry;
  }

  get eachQueueHasOne(): boolean {
    return this.#queues.every((queue) => queue.entries > 0);
  }

  /** Its request waits. Half a queue held is the sign to hand over more: requests go on coming meanwhile. */
  hold(entry: RingEntry): void {
    const queue = this.#queueOf(entry);
    entry.held = true;
    queue.held += 1;
    if (queue.held * 2 < queue.entries || queue.entries + this.#step > this.#most) return;
    const failure = this.#add(entry.queue);
    if (failure < 0)
      this.#parts.events.anomaly("the ring takes no further entries", { errno: errnoName(-failure), entries: queue.entries });
  }

  free(entry: RingEntry): void {
    if (entry.held) this.#queueOf(entry).held -= 1;
    entry.held = false;
  }

  /** The kernel took it back: the connection is over. */
  lose(entry: RingEntry): void {
    this.free(entry);
    this.#queueOf(entry).entries -= 1;
  }

  #queueOf(entry: RingEntry): { entries: number; held: number } {
    return this.#queues[entry.queue] as { entries: number; held: number };
  }

  #add(queue: number): number {
    const { ring } = this.#parts;
    const memory = ring.add(queue, this.#step);
    if (typeof memory === "number") return memory;
    for (let i = 0; i < this.#step; i++) this.#entries.push(this.#entryAt(ring, queue, { memory, offset: i * ring.entryBytes }));
    (this.#queues[queue] as { entries: number }).entries += this.#step;
    return Errno.OK;
  }

  #entryAt(ring: FuseRing, queue: number, at: { memory: ArrayBuffer; offset: number }): RingEntry {
    const { memory, offset } = at;
    const buffer = new ByteBuffer(OUT_HEADER_BYTES + this.#parts.payloadBytes, { memory, offset: offset + ring.replyAt });
    const request = new ByteBuffer(ring.entryBytes - ring.requestAt, { memory, offset: offset + ring.requestAt });
    return new RingEntry(this.#entries.length, queue, buffer, { request, onAnswer: this.#onAnswer });
  }
}
