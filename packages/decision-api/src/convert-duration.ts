/** Durations between domain (milliseconds) and wire. */
import type { Duration } from "./gen/google/protobuf/duration.js";

export function durationToProto(ms: number): Duration {
  return { seconds: BigInt(Math.floor(ms / 1000)), nanos: Math.floor(ms % 1000) * 1_000_000 };
}

export function durationFromProto({ seconds, nanos }: Duration): number {
  return Number(seconds) * 1000 + Math.floor(nanos / 1e6);
}
