/**
 * A slot is all that one request needs until its reply: the caller's context, the arguments, the objects that results
 * are written into, and a small reply. Slots are reused; only a request that waits holds one beyond its turn.
 */
import {
  ByteBuffer,
  DirectoryEncoder,
  OUT_HEADER_BYTES,
  type ReplyRoom,
  type Request,
  RequestArgs,
  STATX_OUT_BYTES,
} from "@sluice/fuse-protocol";
import {
  Attr,
  type AttrOut,
  type CallContext,
  Cancellation,
  type CancelSignal,
  type EntryOut,
  type FileOffset,
  type OpenOut,
  type SecurityLabel,
  type StatfsOut,
} from "@sluice/vfs";
import type { DataPool } from "./buffer-pools.js";
import { clock } from "../polling/clock.js";
import { ReplyData } from "./reply-data.js";

const FREE_SLOTS = 256;

function newEntry(): EntryOut {
  return { nodeId: 0, generation: 0, entryTtlMs: 0, attrTtlMs: 0, attr: new Attr() };
}
function newStatfs(): StatfsOut {
  return { blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0, bsize: 0, namelen: 0, frsize: 0 };
}

export class Slot implements CallContext {
  uid = 0;
  gid = 0;
  pid = 0;
  nodeId = 0;
  opcode = 0;
  uniqueLo = 0;
  uniqueHi = 0;
  /** By `clock`. */
  startedUs = 0;
  /** The request's record in the journal, or 0. */
  journalSlot = 0;
  /** The decoder found bytes that the kernel does not send. */
  malformed = false;
  interrupted = false;
  /** The request whose bytes an argument still points into, while the method waits. */
  pinned: Request | undefined;
  /** The place for the request's answer, on a transport that has such places: held until it is answered. */
  room: ReplyRoom | undefined;

  readonly args = new RequestArgs();
  readonly entry: EntryOut = newEntry();
  readonly attr: AttrOut = { attrTtlMs: 0, attr: new Attr() };
  readonly open: OpenOut = { handle: 0, mode: "cached", keepCache: false, backingId: 0 };
  readonly created = { entry: this.entry, open: this.open };
  readonly count = { length: 0 };
  readonly sought: { offset: FileOffset } = { offset: 0 };
  readonly statfs: StatfsOut = newStatfs();
  readonly directory = new DirectoryEncoder();
  readonly data: ReplyData;
  readonly reply = new ByteBuffer(OUT_HEADER_BYTES + STATX_OUT_BYTES);
  #cancellation: Cancellation | undefined;

  constructor(pool: DataPool) {
    this.data = new ReplyData(pool);
  }

  get groups(): readonly number[] | undefined {
    return this.args.groups;
  }
  get labels(): readonly SecurityLabel[] | undefined {
    return this.args.labels;
  }
  get killSuidgid(): boolean {
    return this.args.killSuidgid;
  }

  get signal(): CancelSignal {
    if (this.#cancellation === undefined) {
      this.#cancellation = new Cancellation();
      if (this.interrupted) this.#cancellation.abort();
    }
    return this.#cancellation;
  }

  /** The caller was interrupted, or the connection is over. */
  interrupt(): void {
    this.interrupted = true;
    this.#cancellation?.abort();
  }

  begin(request: Request): void {
    this.uid = request.uid;
    this.gid = request.gid;
    this.pid = request.pid;
    this.nodeId = request.nodeId;
    this.opcode = request.opcode;
    this.uniqueLo = request.uniqueLo;
    this.uniqueHi = request.uniqueHi;
    this.room = request.room;
    this.data.room = request.room?.buffer;
    this.startedUs = clock.us;
    this.malformed = false;
    this.interrupted = false;
    this.args.groups = undefined;
    this.args.labels = undefined;
    this.args.killSuidgid = false;
  }

  /**
   * Records that the request is malformed, and passes the errno on. A name that is too long is a user's mistake, and not malformed.
   */
  check(errno: number, tolerated = 0): number {
    if (errno !== 0 && errno !== tolerated) this.malformed = true;
    return errno;
  }

  /** Takes over the references that a refused reply would have given, to return them. */
  adopt(other: Slot): void {
    this.uid = other.uid;
    this.gid = other.gid;
    this.pid = other.pid;
    this.nodeId = other.nodeId;
    this.opcode = other.opcode;
    this.interrupted = false;
    this.args.flags = other.args.flags;
    this.args.groups = undefined;
    this.args.labels = undefined;
    this.entry.nodeId = other.entry.nodeId;
    this.open.handle = other.open.handle;
    this.data.adopt(other.data);
  }

  end(): void {
    this.data.clear();
    this.room = undefined;
    this.directory.end();
    this.#cancellation = undefined;
  }
}

export class SlotPool {
  readonly #free: Slot[] = [];
  readonly #data: DataPool;

  constructor(data: DataPool) {
    this.#data = data;
  }

  take(): Slot {
    return this.#free.pop() ?? new Slot(this.#data);
  }

  give(slot: Slot): void {
    slot.end();
    if (this.#free.length < FREE_SLOTS) this.#free.push(slot);
  }
}
