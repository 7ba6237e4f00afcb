/** The seconds that a server measured, taken together. */
import type { ServerSecond } from "./control-protocol.js";

export interface ServerInterval {
  /** Shares of the time, from 0 to 1. */
  busy: number;
  collecting: number;
  pauseMs: number;
  /** At most; null if the kernel does not tell. */
  queued: number | null;
  worstMs: Readonly<Record<string, number>>;
}

const largest = (numbers: readonly number[]): number => numbers.reduce((one, other) => Math.max(one, other), 0);

/** Undefined without a second. */
export function takenTogether(seconds: readonly ServerSecond[]): ServerInterval | undefined {
  if (seconds.length === 0) return undefined;
  const worstMs: Record<string, number> = {};
  for (const second of seconds)
    for (const [operation, ms] of Object.entries(second.worstMs)) worstMs[operation] = Math.max(worstMs[operation] ?? 0, ms);
  const queued = seconds.flatMap((second) => (second.queued === null ? [] : [second.queued]));
  return {
    busy: seconds.reduce((sum, { busy }) => sum + busy, 0) / seconds.length,
    collecting: seconds.reduce((sum, { collectedMs }) => sum + collectedMs, 0) / (seconds.length * 1000),
    pauseMs: largest(seconds.map(({ pauseMs }) => pauseMs)),
    queued: queued.length === 0 ? null : largest(queued),
    worstMs,
  };
}
