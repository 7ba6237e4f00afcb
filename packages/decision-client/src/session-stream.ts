/** The Session stream of a client, with batches as bytes: questions are written as such, and answers read off them. */
import type { ClientDuplexStream } from "@grpc/grpc-js";
import { AnswerReader, type ReceivedAnswer, wire } from "@sluice/decision-api";

/** A message, or a batch of questions that is encoded already. */
export type ToService = wire.SessionRequest | Buffer;
export type FromService = wire.SessionResponse | { answers: ReceivedAnswer[] };
export type SessionStream = ClientDuplexStream<ToService, FromService>;

const { path, requestSerialize } = wire.DecisionServiceService.session;

const serialize = (message: ToService): Buffer => ("message" in message ? requestSerialize(message) : message);

export function openSession(client: wire.DecisionServiceClient): SessionStream {
  const reader = new AnswerReader();
  const deserialize = (bytes: Buffer): FromService => {
    const answers = reader.decode(bytes);
    if (answers !== undefined) return { answers };
    const response = wire.SessionResponse.decode(bytes);
    // Several batches in one message, or fields of a newer contract beside one: read once more, as a batch alone.
    if (response.message?.$case !== "batch") return response;
    const alone = wire.SessionResponse.encode({ message: response.message }).finish();
    return { answers: reader.decode(Buffer.from(alone)) ?? [] };
  };
  return client.makeBidiStreamRequest(path, serialize, deserialize);
}
