/** The Session stream of a server: messages of one mount service, and to it. It stops reading while its client does not read. */
import { type ServerDuplexStream, status } from "@grpc/grpc-js";
import { DirectStream } from "@sluice/decision-api";
import { belowCall } from "./below-call.js";
import { type FromMount, framedResponse, parseRequest, type ToMount } from "./service-definition.js";

export interface MountListener {
  received(request: FromMount): void;
  /** It sends no more. */
  finished(): void;
  /** It is gone. */
  closed(): void;
}

export class MountStream {
  private direct: DirectStream | undefined;

  constructor(
    private readonly call: ServerDuplexStream<FromMount, ToMount>,
    private readonly listener: MountListener,
  ) {
    call.on("data", (request: FromMount) => {
      // First, so that the answer goes out that way.
      this.direct ??= this.goDirect();
      listener.received(request);
    });
    call.on("end", () => listener.finished());
    call.on("error", () => listener.closed());
    call.on("cancelled", () => listener.closed());
    call.on("drain", () => call.resume());
  }

  /** Past the layers of grpc-js. */
  get isDirect(): boolean {
    return this.direct !== undefined;
  }

  write(message: ToMount): void {
    if (this.direct === undefined) {
      if (!this.call.write(message)) this.call.pause();
    } else if (!this.direct.write(framedResponse(message))) {
      this.direct.pauseUntilDrained();
    }
  }

  end(): void {
    this.call.end();
  }

  fail(code: status, details: string): void {
    this.call.emit("error", { code, details });
  }

  private goDirect(): DirectStream | undefined {
    return DirectStream.over(belowCall(this.call), {
      message: (bytes) => {
        let request: FromMount;
        try {
          request = parseRequest(bytes);
        } catch {
          this.fail(status.INTERNAL, "invalid message");
          return;
        }
        this.listener.received(request);
      },
      broken: (problem) => this.fail(status.RESOURCE_EXHAUSTED, problem),
    });
  }
}
