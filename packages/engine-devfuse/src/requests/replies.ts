/** Hands replies to the kernel, and reports the results. */
import { ByteBuffer, encodeHeader, OUT_HEADER_BYTES, type ReplyAddress, type ReplyRoom } from "@sluice/fuse-protocol";
import { Errno } from "@sluice/vfs";
import type { Channel } from "../device/channel.js";
import type { Handler } from "../handlers/handler.js";
import { clock } from "../polling/clock.js";
import type { RequestJournal } from "@sluice/vfs";
import type { Slot } from "./slots.js";

/** taken; gone: the request does not exist any more; invalid: the kernel rejects the reply, and waits on; over: no connection. */
export type ReplyOutcome = "taken" | "gone" | "invalid" | "over";

export class Replies {
  readonly #channel: Channel;
  readonly #bare = new ByteBuffer(OUT_HEADER_BYTES);
  readonly #requests: RequestJournal | undefined;
  #closed = false;

  /** `requests`: the store for replies before they are written. */
  constructor(channel: Channel, requests?: RequestJournal) {
    this.#channel = channel;
    this.#requests = requests;
  }

  /** From here on nothing is written: the descriptor's number may belong to another file. */
  close(): void {
    this.#closed = true;
  }

  error(to: ReplyAddress, errno: number): ReplyOutcome {
    const buffer = to.room?.buffer ?? this.#bare;
    return this.#hand(to, buffer, encodeHeader(buffer.words, to, errno, 0));
  }

  success(slot: Slot, handler: Handler): ReplyOutcome {
    const buffer = slot.data.buffer ?? slot.room?.buffer ?? slot.reply;
    const length = encodeHeader(buffer.words, slot, 0, handler.encode(slot, buffer.words));
    if (slot.journalSlot !== 0) this.#requests?.answer(slot.journalSlot, buffer.bytes, length);
    return this.#hand(slot, buffer, length);
  }

  /** The reply that an earlier process stored and may not have written. */
  again(to: ReplyAddress, answer: Uint8Array): ReplyOutcome {
    const buffer = new ByteBuffer(answer.length);
    buffer.bytes.set(answer);
    buffer.words[2] = to.uniqueLo;
    buffer.words[3] = to.uniqueHi;
    return this.#hand(to, buffer, answer.length);
  }

  /** A reply whose body is already behind the header of `buffer`. */
  body(to: ReplyAddress, buffer: ByteBuffer, bodyBytes: number): ReplyOutcome {
    return this.#hand(to, buffer, encodeHeader(buffer.words, to, 0, bodyBytes));
  }

  #hand(to: ReplyAddress, buffer: ByteBuffer, length: number): ReplyOutcome {
    if (this.#closed) return "over";
    return to.room === undefined ? this.#write(buffer, length) : this.#send(to.room, buffer, length);
  }

  /** The kernel reports errors of the reply to the caller, not to us. */
  #send(room: ReplyRoom, buffer: ByteBuffer, length: number): ReplyOutcome {
    if (buffer !== room.buffer) room.buffer.bytes.set(buffer.view(0, length));
    room.send();
    clock.tick();
    return "taken";
  }

  #write(buffer: ByteBuffer, length: number): ReplyOutcome {
    let result = this.#channel.write(buffer.bytes, length);
    while (result === -Errno.EINTR) result = this.#channel.write(buffer.bytes, length);
    if (result >= 0) return "taken";
    if (result === -Errno.ENOENT) return "gone";
    return result === -Errno.ENODEV || result === -Errno.EPERM || result === -Errno.EBADF ? "over" : "invalid";
  }
}
