/** The Session stream of a client, with batches as bytes: it writes questions as bytes, and decodes answers from bytes. */
import { type ClientDuplexStream, type ServiceError, status } from "@grpc/grpc-js";
import { AnswerReader, DirectStream, frame, type ReceivedAnswer, unframed, wire } from "@sluice/decision-api";
import { belowCall } from "./below-call.js";

/** A message, or a frame with a batch of questions. */
export type ToService = wire.SessionRequest | Buffer;
export type FromService = wire.SessionResponse | { answers: ReceivedAnswer[] };

export interface SessionListener {
  received(response: FromService): void;
  failed(reason: string, code: status): void;
  /** By the service, in order. */
  ended(): void;
}

const { path, requestSerialize } = wire.DecisionServiceService.session;

const serialize = (message: ToService): Buffer => ("message" in message ? requestSerialize(message) : unframed(message));
const framed = (message: ToService): Buffer => ("message" in message ? frame(requestSerialize(message)) : message);

export class SessionStream {
  private readonly call: ClientDuplexStream<ToService, FromService>;
  private readonly reader = new AnswerReader();
  private direct: DirectStream | undefined;

  constructor(
    client: wire.DecisionServiceClient,
    private readonly listener: SessionListener,
  ) {
    this.call = client.makeBidiStreamRequest(path, serialize, (bytes) => this.parse(bytes));
    this.call.on("data", (response: FromService) => {
      // Comes first, so that replies to this message take the direct way.
      this.direct ??= this.goDirect();
      listener.received(response);
    });
    this.call.on("error", (error: ServiceError) => listener.failed(error.details || error.message, error.code));
    this.call.on("end", () => listener.ended());
  }

  /** Bypasses the layers of grpc-js. */
  get isDirect(): boolean {
    return this.direct !== undefined;
  }

  /** The written data wait for a service that does not read. */
  get needsDrain(): boolean {
    return this.direct?.needsDrain ?? this.call.writableNeedDrain;
  }

  write(message: ToService): void {
    if (this.direct === undefined) this.call.write(message);
    else this.direct.write(framed(message));
  }

  end(): void {
    this.call.end();
  }

  cancel(): void {
    this.call.cancel();
  }

  private goDirect(): DirectStream | undefined {
    return DirectStream.over(belowCall(this.call), {
      message: (bytes) => {
        let response: FromService;
        try {
          response = this.parse(bytes);
        } catch {
          this.listener.failed("it sends what is no message", status.INTERNAL);
          return;
        }
        this.listener.received(response);
      },
      broken: (problem) => this.listener.failed(problem, status.RESOURCE_EXHAUSTED),
    });
  }

  private parse(bytes: Buffer): FromService {
    const answers = this.reader.decode(bytes);
    if (answers !== undefined) return { answers };
    const response = wire.SessionResponse.decode(bytes);
    // Several batches in one message, or fields of a newer contract beside one: decode it once more, as a batch alone.
    if (response.message?.$case !== "batch") return response;
    const alone = wire.SessionResponse.encode({ message: response.message }).finish();
    return { answers: this.reader.decode(Buffer.from(alone)) ?? [] };
  }
}
