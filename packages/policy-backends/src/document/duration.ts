/** Spans of time as policies write them: a whole number and its unit. */
import { z } from "zod";

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const DURATION = /^(\d{1,9})(ms|s|m|h)$/;

/** Of a text that `durationSchema` lets through. */
export function durationMs(text: string): number {
  const [, count, unit] = DURATION.exec(text) as unknown as [string, string, string];
  return Number(count) * (UNIT_MS[unit] as number);
}

/** A text such as "30s". */
export const durationSchema = z.string().regex(DURATION);
