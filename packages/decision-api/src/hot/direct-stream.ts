/**
 * Messages straight from and to the HTTP/2 stream of a call that grpc-js has set up. Its layers (filters, interceptors, buffers for
 * retries, two object streams) pass each message on as promises and ticks, which costs a lone question more than all the
 * rest; connections, TLS, headers, keepalive, cancellation and the end of a call stay grpc-js' own. How a stream is
 * found is for each end to know (`Below`): where grpc-js looks different one day there is none, and messages go its way.
 */
import type { Duplex } from "node:stream";
import { MAX_MESSAGE_BYTES } from "../limits.js";
import { FrameReader } from "./frames.js";

/** The stream below a call, as it is now. */
export interface Below {
  stream: Duplex;
  /** Nothing that was read is on its way through grpc-js, and nothing that was written waits there. */
  quiet: boolean;
}

export interface DirectListener {
  message(bytes: Buffer): void;
  /** The bytes are not gRPC, or a message is larger than the contract allows. Nothing more is read. */
  broken(problem: string): void;
}

export class DirectStream {
  #broken = false;

  private constructor(
    private readonly stream: Duplex,
    listener: DirectListener,
  ) {
    const reader = new FrameReader(MAX_MESSAGE_BYTES, (message) => listener.message(message));
    stream.removeAllListeners("data");
    stream.on("data", (chunk: Buffer) => {
      if (this.#broken) return;
      const problem = reader.read(chunk);
      if (problem === undefined) return;
      this.#broken = true;
      listener.broken(problem);
    });
    stream.on("drain", () => stream.resume());
    // grpc-js paused it for the message that is being received.
    stream.resume();
  }

  /** To be called where a message of the call is being received. undefined: not now. */
  static over(below: Below | undefined, listener: DirectListener): DirectStream | undefined {
    if (below?.quiet !== true || below.stream.listenerCount("data") !== 1) return undefined;
    return new DirectStream(below.stream, listener);
  }

  get needsDrain(): boolean {
    return this.stream.writableNeedDrain;
  }

  /** A frame. True where more may follow at once. */
  write(framed: Buffer): boolean {
    if (this.stream.destroyed || this.stream.writableEnded) return true;
    return this.stream.write(framed);
  }

  /** Reads nothing until the written bytes are on their way. */
  pauseUntilDrained(): void {
    this.stream.pause();
  }
}
