/** The service as it is served: as generated, but that batches of a Session are read and written without objects in between. */
import type { handleBidiStreamingCall } from "@grpc/grpc-js";
import { decodeQuestions, frame, type ReceivedQuestion, unframed, wire } from "@sluice/decision-api";

export type FromMount = wire.SessionRequest | { questions: ReceivedQuestion[] };
/** A message, or a frame with a batch of answers. */
export type ToMount = wire.SessionResponse | Buffer;

export type Handlers = Omit<wire.DecisionServiceServer, "session"> & { session: handleBidiStreamingCall<FromMount, ToMount> };

const generated = wire.DecisionServiceService;

/** Throws if it is no message. */
export function parseRequest(bytes: Buffer): FromMount {
  const questions = decodeQuestions(bytes);
  if (questions !== undefined) return { questions };
  const request = wire.SessionRequest.decode(bytes);
  // Several batches in one message, or fields of a newer contract beside one: read once more, as a batch alone.
  if (request.message?.$case !== "batch") return request;
  const alone = wire.SessionRequest.encode({ message: request.message }).finish();
  return { questions: decodeQuestions(Buffer.from(alone)) ?? [] };
}

const { responseSerialize } = generated.session;

export function framedResponse(message: ToMount): Buffer {
  return "message" in message ? frame(responseSerialize(message)) : message;
}

export const SERVICE_DEFINITION = {
  ...generated,
  session: {
    ...generated.session,
    requestDeserialize: parseRequest,
    responseSerialize: (message: ToMount): Buffer => ("message" in message ? responseSerialize(message) : unframed(message)),
  },
};
