/** Hands replies to the kernel, and says what became of them. */
import { ByteBuffer, encodeHeader, OUT_HEADER_BYTES, type ReplyAddress } from "@sluice/fuse-protocol";
import { Errno } from "@sluice/vfs";
import type { Channel } from "./channel.js";
import type { Handler } from "./handler.js";
import type { Slot } from "./slots.js";

/** taken; gone: the request is not there any more; invalid: the kernel finds the reply wrong, and waits on; over: no connection. */
export type ReplyOutcome = "taken" | "gone" | "invalid" | "over";

export class Replies {
  readonly #channel: Channel;
  readonly #bare = new ByteBuffer(OUT_HEADER_BYTES);
  #closed = false;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** From here on nothing is written: the descriptor's number may be somebody else's. */
  close(): void {
    this.#closed = true;
  }

  error(to: ReplyAddress, errno: number): ReplyOutcome {
    return this.#write(this.#bare, encodeHeader(this.#bare.words, to, errno, 0));
  }

  success(slot: Slot, handler: Handler): ReplyOutcome {
    const buffer = slot.data.buffer ?? slot.reply;
    return this.#write(buffer, encodeHeader(buffer.words, slot, 0, handler.encode(slot, buffer.words)));
  }

  /** A reply whose body was written behind the header of `buffer` already. */
  body(to: ReplyAddress, buffer: ByteBuffer, bodyBytes: number): ReplyOutcome {
    return this.#write(buffer, encodeHeader(buffer.words, to, 0, bodyBytes));
  }

  #write(buffer: ByteBuffer, length: number): ReplyOutcome {
    if (this.#closed) return "over";
    let result = this.#channel.write(buffer.bytes, length);
    while (result === -Errno.EINTR) result = this.#channel.write(buffer.bytes, length);
    if (result >= 0) return "taken";
    if (result === -Errno.ENOENT) return "gone";
    return result === -Errno.ENODEV || result === -Errno.EPERM || result === -Errno.EBADF ? "over" : "invalid";
  }
}
