/**
 * The records between a keeper and its server, over SOCK_SEQPACKET: 24 bytes of header, then a payload where the kind has
 * one. Fixed and binary, so that the privileged side has nothing to parse that could grow or nest.
 *
 *     0 kind u32 · 4 sequence u32 (of a request that wants an answer, and of its answer; else 0) · 8 key u64 · 16 value i64
 */
import { native } from "@sluice/native";
import { Errno } from "@sluice/vfs";

export const HEADER_BYTES = 24;
/** What the server may ask the keeper to hold of its agreement with the kernel. */
export const MAX_INIT_BYTES = 4096;
/** The journal's memory file has this size from the start, and no server can change it. */
export const JOURNAL_LIMIT_BYTES = 0x5000_0000;
/** Stored descriptors in one record, each with its key in the payload. */
export const STORED_PER_RECORD = 200;
const KEY_BYTES = 8;
/** As the addon tells it: more came than there was room for. */
const TRUNCATED = 2 ** 32;
export const RECORD_BYTES = HEADER_BYTES + MAX_INIT_BYTES;

/** From the server. */
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
  /** It has all that it needs but what the keeper tells, and waits for that. The one record that may come before. */
  loaded: 11,
  /** The connection is over, and the server holds nothing of the layers any more. Answered with 0 when the keeper does not either. */
  letGo: 12,
} as const;

/** From the keeper. */
export const KeeperRecord = {
  /** `sequence` of the request, `value` its result. */
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
  /** That was all. `key`: how many descriptors may be stored. `value` 1: a former server served this connection. A payload: KeeperInfo as JSON. */
  go: 72,
  drain: 73,
  /** One descriptor, a memory file: the offer, to whoever connects to a keeper that starts no servers. `go` may come much later. */
  offer: 74,
  /** Unmount, as SIGTERM would have a server do that the keeper can send one to. */
  stop: 75,
} as const;

/** A record with its descriptors, to write into or read out of; one is used again and again. */
export class LinkRecord {
  readonly bytes = Buffer.alloc(RECORD_BYTES);
  readonly fds: Int32Array;
  length = 0;
  fdCount = 0;

  constructor(fdRoom: number) {
    this.fds = new Int32Array(fdRoom);
  }

  /** Begins one without payload or descriptors. */
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
   * Whether a record came: 1; 0 where the peer is gone; else the negative errno. Its descriptors are the caller's, also where
   * there was no room for all of it: -EMSGSIZE.
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
