/** The HTTP/2 stream below a client's call, by the internals of grpc-js 1.14; undefined if another version has others. */
import type { Duplex } from "node:stream";
import type { Below } from "@sluice/decision-api";

/** Http2SubchannelCall. */
interface Transport {
  http2Stream?: Duplex;
  unpushedReadMessages?: unknown[];
  isPushPending?: boolean;
  decoder?: { readState?: number };
}
/** ResolvingCall, with its CompressionFilter, → RetryingCall → LoadBalancingCall → Transport. */
interface Resolving {
  filterStack?: { filters?: { receiveCompression?: object }[] };
  child?: { underlyingCalls?: { call?: { child?: Transport } }[] };
}
/** ClientDuplexStreamImpl → BaseStreamingInterceptingCall → ResolvingCall. */
interface Inside {
  call?: { call?: Resolving };
}

/** The service named no other encoding in its headers: it compresses nothing. */
function isPlain({ filterStack }: Resolving): boolean {
  const filters = filterStack?.filters;
  return filters?.length === 1 && filters[0]?.receiveCompression?.constructor.name === "IdentityHandler";
}

export function belowCall(call: { writableLength: number }): Below | undefined {
  const resolving = (call as Inside).call?.call;
  const underlying = resolving?.child?.underlyingCalls;
  const transport = underlying?.length === 1 ? underlying[0]?.call?.child : undefined;
  if (resolving === undefined || transport?.http2Stream === undefined) return undefined;
  const { http2Stream: stream, unpushedReadMessages, isPushPending, decoder } = transport;
  const quiet =
    isPlain(resolving) &&
    unpushedReadMessages?.length === 0 &&
    isPushPending === false &&
    decoder?.readState === 0 &&
    call.writableLength === 0;
  return { stream, quiet };
}
