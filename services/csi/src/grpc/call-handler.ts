/** Makes a handler of a function: its errors get gRPC codes, and the log has each failed call. */
import type { handleUnaryCall, ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import type { Logger } from "@sluice/runtime";
import { csiErrorOf } from "../csi-error.js";

export function callHandler<Q, A>(log: Logger, name: string, work: (request: Q) => A | Promise<A>): handleUnaryCall<Q, A> {
  const answer = async (request: Q): Promise<A> => work(request);
  return (call: ServerUnaryCall<Q, A>, done: sendUnaryData<A>): void => {
    answer(call.request).then(
      (response) => done(null, response),
      (error: unknown) => {
        const { code, message, cause } = csiErrorOf(error);
        log.warn({ call: name, code, why: message, err: cause }, "a call failed");
        done({ code, details: message });
      },
    );
  };
}
