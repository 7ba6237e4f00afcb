/** The engine on a test's own channel: requests are bytes, replies are collected and checked for form. No kernel, no mount. */
import { Agreement, type Channel, InFlight, Replies, serveChannel } from "@sluice/engine-devfuse";
import { Errno, type Filesystem } from "@sluice/vfs";

export interface Reply {
  errno: number;
  uniqueLo: number;
  uniqueHi: number;
  body: Buffer;
}

export class FakeKernel {
  readonly replies: Reply[] = [];
  readonly anomalies: string[] = [];
  readonly inFlight = new InFlight();
  /** Replaces the length as the result of writing a reply, while it is set. */
  refuseWith = 0;
  ended: number | undefined;
  #next: Uint8Array | undefined;
  readonly #wake: () => void;

  constructor(filesystem: Filesystem) {
    const channel: Channel = {
      read: (into, length) => this.#read(into, length),
      write: (bytes, length) => this.#write(bytes, length),
    };
    const { loop } = serveChannel({
      channel,
      filesystem,
      agreement: new Agreement(),
      inFlight: this.inFlight,
      replies: new Replies(channel),
      requested: { maxStackDepth: 1, maxWriteBytes: 128 * 1024, locks: true, uring: false },
      events: { request: () => undefined, anomaly: (message) => this.anomalies.push(message) },
      onReady: () => undefined,
      onRefused: (error) => {
        throw error;
      },
      onEnd: (errno) => {
        this.ended = errno;
      },
    });
    this.#wake = () => loop.wake(false);
  }

  /** Does the handshake of Linux 6.18, and drops that reply. */
  init(): void {
    this.send(26, { nodeId: 0 }, words(7, 45, 131072, 0x73fffffb, 0x5fd, ...new Array<number>(11).fill(0)));
    this.replies.length = 0;
  }

  feed(bytes: Buffer): void {
    this.#next = bytes;
    this.#wake();
  }

  send(opcode: number, header: { nodeId?: number; uniqueLo?: number; uniqueHi?: number }, body: Buffer): void {
    const { nodeId = 1, uniqueLo = 2, uniqueHi = 0 } = header;
    this.feed(Buffer.concat([words(40 + body.length, opcode, uniqueLo, uniqueHi, nodeId, 0, 1000, 1000, 42, 0), body]));
  }

  #read(into: Uint8Array, length: number): number {
    const bytes = this.#next;
    this.#next = undefined;
    if (bytes === undefined) return -Errno.EAGAIN;
    if (bytes.length > length) throw new Error("the fuzzer sent more than the engine's buffer holds");
    into.set(bytes);
    return bytes.length;
  }

  #write(bytes: Uint8Array, length: number): number {
    const reply = Buffer.from(bytes.slice(0, length));
    if (reply.readUInt32LE(0) !== length || length < 16) throw new Error(`a reply of ${length} bytes says it has ${reply.readUInt32LE(0)}`);
    const errno = 0 - reply.readInt32LE(4);
    if (errno < 0 || errno >= 512) throw new Error(`a reply with error ${errno}`);
    if (errno !== 0 && length !== 16) throw new Error("an error reply with a body");
    if (this.refuseWith !== 0) return -this.refuseWith;
    this.replies.push({ errno, uniqueLo: reply.readUInt32LE(8), uniqueHi: reply.readUInt32LE(12), body: reply.subarray(16) });
    return length;
  }
}

export function words(...values: number[]): Buffer {
  const out = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) out.writeUInt32LE(value >>> 0, i * 4);
  return out;
}
