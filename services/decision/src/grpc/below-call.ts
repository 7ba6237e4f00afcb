/** The HTTP/2 stream below a server's call, by the internals of grpc-js 1.14; undefined if they differ. */
import type { Duplex } from "node:stream";
import type { Below } from "@sluice/decision-api";

/** BaseServerInterceptingCall, or an interceptor around another. */
interface Call {
  nextCall?: Call;
  stream?: Duplex;
  readQueue?: unknown[];
  incomingEncoding?: string;
  metadataSent?: boolean;
  decoder?: { readState?: number };
}

export function belowCall(call: { writableLength: number }): Below | undefined {
  let at = (call as { call?: Call }).call;
  while (at?.nextCall !== undefined) at = at.nextCall;
  if (at?.stream === undefined) return undefined;
  const { stream, readQueue, incomingEncoding, metadataSent, decoder } = at;
  const established = metadataSent === true && incomingEncoding === "identity";
  const quiet = established && readQueue?.length === 0 && decoder?.readState === 0 && call.writableLength === 0;
  return { stream, quiet };
}
