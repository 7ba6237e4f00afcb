/**
 * The records between a keeper and its server, over SOCK_SEQPACKET: 24 bytes of header, then a payload for some kinds. The format is fixed
 * and binary, so that the privileged side parses nothing that could grow or nest.
 *
 *     0 kind u32 · 4 sequence u32 (of a request that wants an answer, and of its answer; else 0) · 8 key u64 · 16 value i64
 */
import { native } from "@sluice/native";
import { Errno } from "@sluice/vfs";

export const HEADER_BYTES = 24;
/** The limit for the result of INIT, which the keeper stores. */
export const MAX_INIT_BYTES = 4096;
/** The journal's memory file has this size from the start, and no server can change it. */
export const JOURNAL_LIMIT_BYTES = 0x5000_0000;
/** Stored descriptors in one record, each with its key in the payload. */
export const STORED_PER_RECORD = 200;
const KEY_BYTES = 8;
/** The addon sets this bit if more arrived than there was room for. */
const TRUNCATED = 2 ** 32;
export const RECORD_BYTES = HEADER_BYTES + MAX_INIT_BYTES;

/** The kinds of records that a server sends. */
export const ServerRecord = {
  /** Mounts what the keeper was started for; answered with 0 or a negative errno. */
  mount: 1,
  /** One descriptor; answered with a backing id or a negative errno. */
  register: 2,
  /** `value` is a backing id. */
  closeBacking: 3,
  /** One descriptor, under `key`. */
  store: 4,
  /** `key`. */
  drop: 5,
  /** A payload of at most MAX_INIT_BYTES. */
  storeInit: 6,
  ready: 7,
  /** `value` 1: lazily. Answered with 0 or a negative errno. */
  unmount: 8,
  /** Answered with 0 or a negative errno. */
  abort: 9,
  handOver: 10,
  /** The server has loaded, and waits for the keeper. No other record may come before the greeting. `value` 1: it may get `prepare`. */
  loaded: 11,
  /** The connection is over, and the server has released the layers. Answered with 0 when the keeper has too. */
  letGo: 12,
  /** Of a service of many mounts: one descriptor, a memory file with a HoldRequest as JSON. Answered with `link`. */
  hold: 13,
  /** Of a service of many mounts: it has `value` decision processes, and so will the next one. */
  decisions: 14,
  /**
   * Of the mount of an ordinary user: one descriptor, perhaps O_PATH, of an object of that user in a layer; without a payload to open it for
   * reading, with a name to find in it. Answered with 0 and a descriptor, or with a negative errno.
   */
  openOwn: 15,
} as const;

/** The kinds of records that a keeper sends. */
export const KeeperRecord = {
  /** `sequence` of the request, `value` its result; after `openOwn` one descriptor. */
  answer: 64,
  /** One descriptor: /dev/fuse. */
  fuse: 65,
  /** One descriptor. */
  journal: 66,
  /** Descriptors of lower layers, in order, continued by the next such record. */
  lowers: 67,
  dataLowers: 68,
  /** Two descriptors: upper, work; on a volatile mount perhaps a third, the witness of errors. */
  upper: 69,
  /** A payload. */
  init: 70,
  /** As many descriptors as keys in the payload. */
  stored: 71,
  /** The end of the greeting. `key`: how many descriptors may be stored. `value` 1: a former server served this connection. Payload: KeeperInfo as JSON, if the link is that of a mount. */
  go: 72,
  drain: 73,
  /** One descriptor, a memory file with the offer, for a server that connects to a keeper that starts none. `go` may come much later. */
  offer: 74,
  /** Unmount, as after SIGTERM: for a server to which the keeper cannot send signals. */
  stop: 75,
  /**
   * To a service of many mounts. In an answer to `hold` one descriptor: with the value 0 the link of the mount, greeted already; else a
   * memory file with the reason. Without a sequence: a mount of a former service, two descriptors: its link, and the memory file of `hold`.
   */
  link: 76,
  /** To a service that stands by: it should have `value` decision processes loaded when its turn comes. Only after `loaded` with 1. */
  prepare: 77,
} as const;

/** A record with its descriptors, for writing and reading. It is reused. */
export class LinkRecord {
  readonly bytes = Buffer.alloc(RECORD_BYTES);
  readonly fds: Int32Array;
  length = 0;
  fdCount = 0;

  constructor(fdRoom: number) {
    this.fds = new Int32Array(fdRoom);
  }

  /** Begins a record without payload or descriptors. */
  begin(kind: number, sequence: number, key: bigint, value: number): this {
    this.bytes.writeUInt32LE(kind, 0);
    this.bytes.writeUInt32LE(sequence, 4);
    this.bytes.writeBigUInt64LE(key, 8);
    this.bytes.writeBigInt64LE(BigInt(value), 16);
    this.length = HEADER_BYTES;
    this.fdCount = 0;
    return this;
  }

  addFd(fd: number): this {
    this.fds[this.fdCount++] = fd;
    return this;
  }

  addPayload(payload: Uint8Array): this {
    this.bytes.set(payload, this.length);
    this.length += payload.length;
    return this;
  }

  addKey(key: bigint): this {
    this.bytes.writeBigUInt64LE(key, this.length);
    this.length += KEY_BYTES;
    return this;
  }

  get kind(): number {
    return this.bytes.readUInt32LE(0);
  }
  get sequence(): number {
    return this.bytes.readUInt32LE(4);
  }
  get key(): bigint {
    return this.bytes.readBigUInt64LE(8);
  }
  get value(): number {
    return Number(this.bytes.readBigInt64LE(16));
  }
  get payload(): Buffer {
    return this.bytes.subarray(HEADER_BYTES, this.length);
  }
  keyAt(index: number): bigint {
    return this.bytes.readBigUInt64LE(HEADER_BYTES + index * KEY_BYTES);
  }

  /** 0, or the negative errno. */
  send(socket: number, timeoutMs: number): number {
    const sent = native.sendMessage(socket, this.bytes, this.length, this.fds, this.fdCount, timeoutMs);
    return sent < 0 ? sent : 0;
  }

  /**
   * @returns 1 if a record came, 0 if the peer is gone, otherwise the negative errno. The caller owns the descriptors, even of a record
   * that was too large (-EMSGSIZE).
   */
  receive(socket: number, timeoutMs: number): number {
    this.fdCount = 0;
    const received = native.receiveMessage(socket, this.bytes, this.fds, timeoutMs);
    if (received <= 0) return received;
    this.length = received & 0xffff;
    this.fdCount = (received >>> 16) & 0xffff;
    return received < TRUNCATED ? 1 : -Errno.EMSGSIZE;
  }

  closeFds(): void {
    for (let at = 0; at < this.fdCount; at++) native.close(this.fds[at] as number);
    this.fdCount = 0;
  }
}
