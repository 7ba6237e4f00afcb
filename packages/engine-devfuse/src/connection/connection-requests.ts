/** The requests about the connection itself: INIT, FORGET, BATCH_FORGET, INTERRUPT, DESTROY, NOTIFY_REPLY, and resent ones. */
import {
  ByteBuffer,
  decodeBatchForget,
  decodeForget,
  decodeInit,
  decodeInterrupt,
  encodeInit,
  type ForgetSink,
  INIT_OUT_BYTES,
  Opcode,
  OUT_HEADER_BYTES,
  OUT_HEADER_WORDS,
  opcodeName,
  PROTOCOL_MAJOR,
  type Request,
  RESEND_BIT_HI,
} from "@sluice/fuse-protocol";
import { type EngineEvents, Errno, FsError, type Negotiated } from "@sluice/vfs";
import type { Agreement } from "./agreement.js";
import { unanswered } from "../handlers/dispatch-table.js";
import type { Forgets } from "./forgets.js";
import type { HandlerContext } from "../handlers/handler.js";
import { type Handshake, negotiate, type RequestedFeatures } from "./init.js";
import type { InFlight } from "../requests/interrupts.js";
import type { Replies } from "../requests/replies.js";

export interface ConnectionParts {
  readonly context: HandlerContext;
  readonly forgets: Forgets;
  readonly replies: Replies;
  readonly inFlight: InFlight;
  readonly agreement: Agreement;
  readonly requested: RequestedFeatures;
  readonly events: EngineEvents;
  onReady(negotiated: Negotiated): void;
  onRefused(error: FsError): void;
}

export class ConnectionRequests {
  readonly #parts: ConnectionParts;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
  }

  get agreement(): Agreement {
    return this.#parts.agreement;
  }

  isUnanswered(opcode: number): boolean {
    return unanswered.has(opcode);
  }

  /** The resulting errno (0: fine), or undefined if the request is none of these. */
  handle(request: Request): number | undefined {
    switch (request.opcode) {
      case Opcode.FORGET:
        return this.#forgotten(request, decodeForget, this.#parts.context.filesystem);
      case Opcode.BATCH_FORGET:
        return this.#forgottenMany(request);
      case Opcode.INTERRUPT:
        return this.#interrupt(request);
      case Opcode.INIT:
        return this.#init(request);
      case Opcode.DESTROY:
        this.#parts.replies.error(request, Errno.OK);
        return Errno.OK;
      case Opcode.NOTIFY_REPLY:
        return Errno.OK;
      default:
        return undefined;
    }
  }

  /**
   * A request that comes again (unique bit 63) while its first reading still waits here is not started twice: the
   * waiting one answers under the new unique, the only one the kernel still knows.
   */
  adoptResent(request: Request): boolean {
    if ((request.uniqueHi & RESEND_BIT_HI) === 0) return false;
    const slot = this.#parts.inFlight.find(request.uniqueLo, request.uniqueHi);
    if (slot === undefined || slot.opcode !== request.opcode) return false;
    slot.uniqueHi = request.uniqueHi;
    return true;
  }

  #forgottenMany(request: Request): number {
    const { forgets } = this.#parts;
    const errno = this.#forgotten(request, decodeBatchForget, forgets);
    forgets.begin();
    return errno;
  }

  #forgotten(request: Request, decode: (request: Request, sink: ForgetSink) => number, sink: ForgetSink): number {
    try {
      const errno = decode(request, sink);
      if (errno !== 0) this.#malformed(request);
      return errno;
    } catch (error) {
      this.#parts.events.anomaly("forget failed: a filesystem must not throw there", { error });
      return Errno.EIO;
    }
  }

  #interrupt(request: Request): number {
    const at = decodeInterrupt(request);
    if (at < 0) return this.#malformed(request);
    const lo = request.words[at] as number;
    const hi = request.words[at + 1] as number;
    const slot = this.#parts.inFlight.find(lo, hi);
    if (slot !== undefined) {
      slot.interrupt();
      return Errno.OK;
    }
    const answerable = request.uniqueLo !== 0 || request.uniqueHi !== 0;
    if (answerable && this.#parts.inFlight.answerUnknown(lo, hi)) this.#parts.replies.error(request, Errno.EAGAIN);
    return Errno.OK;
  }

  #init(request: Request): number {
    const offer = decodeInit(request);
    if (offer === undefined || this.agreement.reached) {
      this.#malformed(request);
      this.#parts.replies.error(request, Errno.EIO);
      return Errno.EIO;
    }
    return this.#answerInit(request, negotiate(offer, this.#parts.requested), offer.maxReadaheadBytes);
  }

  #answerInit(request: Request, handshake: Handshake, maxReadaheadBytes: number): number {
    const buffer = new ByteBuffer(OUT_HEADER_BYTES + INIT_OUT_BYTES);
    switch (handshake.kind) {
      case "refused":
        this.#parts.replies.error(request, handshake.error.errno);
        this.#parts.onRefused(handshake.error);
        return handshake.error.errno;
      case "ask-again":
        buffer.words[OUT_HEADER_WORDS] = PROTOCOL_MAJOR;
        buffer.words[OUT_HEADER_WORDS + 2] = maxReadaheadBytes;
        this.#parts.replies.body(request, buffer, INIT_OUT_BYTES);
        return Errno.OK;
      case "agreed":
        this.#parts.context.setxattrExtended = handshake.negotiated.flags.includes("SETXATTR_EXT");
        this.agreement.record(handshake.negotiated);
        encodeInit(buffer.words, OUT_HEADER_WORDS, handshake.reply);
        if (this.#parts.replies.body(request, buffer, INIT_OUT_BYTES) === "taken") this.#parts.onReady(handshake.negotiated);
        else this.#parts.onRefused(new FsError(Errno.EPROTO, "the kernel does not take the handshake's answer"));
        return Errno.OK;
    }
  }

  #malformed(request: Request): number {
    this.#parts.events.anomaly("a request is malformed", { operation: opcodeName(request.opcode), sizeBytes: request.length });
    return Errno.EIO;
  }
}
