/**
 * A connection's requests from bytes to reply: finds the handler, calls the filesystem, and replies at once or when the
 * promise settles. It never throws: a bug in a filesystem is EIO and an event. It reads nothing; the read loop does.
 */
import { opcodeName, RESEND_BIT_HI, type Request } from "@sluice/fuse-protocol";
import { type EngineEvents, Errno, errnoName, FsError, type RequestJournal, type Status } from "@sluice/vfs";
import { RequestPool } from "./requests/buffer-pools.js";
import { clock } from "./polling/clock.js";
import type { ConnectionRequests } from "./connection/connection-requests.js";
import { handlerOf, leftToKernel } from "./handlers/dispatch-table.js";
import type { Handler, HandlerContext } from "./handlers/handler.js";
import type { IdlePolling } from "./polling/idle-polling.js";
import type { InFlight } from "./requests/interrupts.js";
import type { Replies, ReplyOutcome } from "./requests/replies.js";
import { type Slot, SlotPool } from "./requests/slots.js";

/** Errnos that the kernel accepts in a reply. */
const ERRNO_LIMIT = 512;
/** Bytes of a header up to the unique: from there on an answer can be addressed. */
const ADDRESSABLE_BYTES = 16;

/** The start of a request without a slot: one that is answered at once. */
const started = { startedUs: 0 };

export interface SessionParts {
  readonly context: HandlerContext;
  readonly replies: Replies;
  readonly inFlight: InFlight;
  readonly connection: ConnectionRequests;
  readonly requests: RequestPool;
  readonly events: EngineEvents;
  readonly journal: RequestJournal | undefined;
  readonly idlePolling: IdlePolling | undefined;
}

export class Session {
  readonly #parts: SessionParts;
  readonly #slots: SlotPool;
  /** Called after each answer to a request that had to wait. */
  onLateAnswer: () => void = () => undefined;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#slots = new SlotPool(parts.context.data);
  }

  /**
   * Handles one message of `readBytes` bytes; the caller has just read the clock. True if the request's buffer is still
   * needed: read the next message into another one.
   */
  handle(request: Request, readBytes: number): boolean {
    this.#parts.idlePolling?.arrived();
    if (request.load(readBytes) !== 0) {
      this.#refuse(request, "a request's header does not fit its bytes", Errno.EIO);
      return false;
    }
    const handler = handlerOf(request.opcode);
    if (handler !== undefined) return this.#serve(handler, request);
    started.startedUs = clock.us;
    const status = this.#parts.connection.handle(request);
    clock.tick();
    if (status !== undefined) this.#count(request.opcode, status, started);
    else this.#unknown(request);
    return false;
  }

  #serve(handler: Handler, request: Request): boolean {
    if (request.uniqueLo === 0 && request.uniqueHi === 0) {
      this.#refuse(request, "a request without a unique cannot be answered", Errno.EIO);
      return false;
    }
    if (request.nodeId <= 0 || !this.#parts.connection.agreement.reached) {
      this.#refuse(request, "a request for a node that cannot be, or before the handshake", Errno.EIO);
      return false;
    }
    if ((request.uniqueHi & RESEND_BIT_HI) !== 0 && this.#isKnown(request)) return false;
    const slot = this.#slots.take();
    slot.begin(request);
    if (handler.once === true) this.#writeDown(slot);
    const status = this.#start(handler, slot, request);
    if (typeof status === "number") {
      this.#complete(handler, slot, status);
      return false;
    }
    return this.#wait(handler, slot, { status, request });
  }

  /** A request that comes again: it waits here, or an earlier process answered it. */
  #isKnown(request: Request): boolean {
    const { connection, journal, replies } = this.#parts;
    if (connection.adoptResent(request)) return true;
    const record = journal?.findAnswered(request.uniqueLo, request.uniqueHi) ?? 0;
    if (journal === undefined || record === 0) return false;
    replies.again(request, journal.answerOf(record));
    journal.end(record);
    return true;
  }

  #writeDown(slot: Slot): void {
    slot.journalSlot = this.#parts.journal?.begin(slot.uniqueLo, slot.uniqueHi, slot.opcode) ?? 0;
  }

  #start(handler: Handler, slot: Slot, request: Request): Status {
    try {
      return handler.start(this.#parts.context, slot, request);
    } catch (error) {
      return this.#statusOf(error, slot);
    }
  }

  /** Closures are created only here, for a request that waits. */
  #wait(handler: Handler, slot: Slot, waiting: { status: Promise<number>; request: Request }): boolean {
    this.#parts.inFlight.add(slot);
    if (handler.pinsRequest && slot.room === undefined) slot.pinned = waiting.request;
    const complete = (status: number): void => {
      this.#parts.inFlight.remove(slot);
      this.#complete(handler, slot, status);
      this.onLateAnswer();
    };
    waiting.status.then(complete, (error: unknown) => complete(this.#statusOf(error, slot)));
    return slot.pinned !== undefined || slot.room !== undefined;
  }

  #complete(handler: Handler, slot: Slot, status: number): void {
    const errno = this.#reply(handler, slot, status);
    if (slot.journalSlot !== 0) this.#parts.journal?.end(slot.journalSlot);
    slot.journalSlot = 0;
    if (slot.malformed) this.#anomaly("a request is malformed", slot, errno);
    this.#count(slot.opcode, errno, slot);
    if (slot.pinned !== undefined) this.#parts.requests.give(slot.pinned);
    slot.pinned = undefined;
    this.#slots.give(slot);
  }

  #reply(handler: Handler, slot: Slot, status: number): number {
    const { replies } = this.#parts;
    const errno = this.#checked(slot, status);
    if (errno !== 0) {
      replies.error(slot, errno);
      return errno;
    }
    const outcome = replies.success(slot, handler);
    if (outcome === "taken") return 0;
    return this.#notTaken(handler, slot, outcome);
  }

  /** A status or a length that the kernel would refuse is a bug: EIO. */
  #checked(slot: Slot, status: number): number {
    const { data } = slot;
    if (status === 0 && (data.buffer === undefined || (data.length >= 0 && data.length <= data.reservedBytes))) return 0;
    if (Number.isInteger(status) && status > 0 && status < ERRNO_LIMIT) return status;
    const detail = status === 0 ? `${data.length} bytes in ${data.reservedBytes} reserved` : `status ${status}`;
    this.#anomaly(`an answer is impossible: ${detail}`, slot, Errno.EIO);
    return Errno.EIO;
  }

  #notTaken(handler: Handler, slot: Slot, outcome: ReplyOutcome): number {
    if (outcome === "over") return Errno.ENOTCONN;
    if (outcome === "invalid") {
      this.#anomaly("the kernel refuses a reply as invalid", slot, Errno.EIO);
      this.#parts.replies.error(slot, Errno.EIO);
    }
    this.#giveBack(handler, slot);
    return outcome === "gone" ? Errno.EINTR : Errno.EIO;
  }

  /** The handler may start work that waits: that work then has a slot that is not reused. */
  #giveBack(handler: Handler, slot: Slot): void {
    if (handler.refused === undefined) return;
    const laterSlot = this.#slots.take();
    laterSlot.adopt(slot);
    try {
      const status = handler.refused(this.#parts.context, laterSlot);
      if (typeof status === "number") this.#slots.give(laterSlot);
      else
        status.then(
          () => this.#slots.give(laterSlot),
          (error: unknown) => this.#statusOf(error, laterSlot),
        );
    } catch (error) {
      this.#statusOf(error, laterSlot);
    }
  }

  #statusOf(error: unknown, slot: Slot): number {
    const errno = statusOfError(error, slot.interrupted);
    if (errno !== undefined) return errno;
    const detail = { operation: opcodeName(slot.opcode), nodeId: slot.nodeId, error };
    this.#parts.events.anomaly("a filesystem method failed with an error that is no FsError; its caller gets EIO", detail);
    return Errno.EIO;
  }

  #unknown(request: Request): void {
    const { opcode } = request;
    if (!leftToKernel.has(opcode))
      this.#parts.events.anomaly(`${opcodeName(opcode)} is not known here; the kernel gets ENOSYS`, { opcode });
    if (request.uniqueLo !== 0 || request.uniqueHi !== 0) this.#parts.replies.error(request, Errno.ENOSYS);
    this.#count(opcode, Errno.ENOSYS, started);
  }

  #refuse(request: Request, message: string, errno: number): void {
    const addressable = request.length >= ADDRESSABLE_BYTES && (request.uniqueLo !== 0 || request.uniqueHi !== 0);
    const opcode = addressable ? request.opcode : 0;
    this.#parts.events.anomaly(message, { opcode, nodeId: addressable ? request.nodeId : 0, sizeBytes: request.length });
    if (addressable && !this.#parts.connection.isUnanswered(opcode)) this.#parts.replies.error(request, errno);
  }

  #anomaly(message: string, slot: Slot, errno: number): void {
    const { nodeId, pid } = slot;
    this.#parts.events.anomaly(message, { operation: opcodeName(slot.opcode), nodeId, pid, errno: errnoName(errno) });
  }

  /** Passing a fractional number would make an object, so it stays in its slot. */
  #count(opcode: number, errno: number, started: Readonly<{ startedUs: number }>): void {
    this.#parts.idlePolling?.answered();
    this.#parts.events.request(opcodeName(opcode), errno, Math.round(clock.us - started.startedUs));
  }
}

/** The errno that the caller gets, or undefined if the error is a bug. AbortError is an answer only to an interrupted caller. */
function statusOfError(error: unknown, interrupted: boolean): number | undefined {
  if (error instanceof FsError) return error.errno;
  if (interrupted && error instanceof Error && error.name === "AbortError") return Errno.EINTR;
  return undefined;
}
