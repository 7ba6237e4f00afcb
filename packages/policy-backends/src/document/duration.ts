/** Durations in a policy: a whole number and its unit. */
import { parseDurationMs } from "@sluice/decision-api";
import { z } from "zod";

/** A text such as "30s". */
export const durationSchema = z.string().regex(/^(\d{1,9})(ms|s|m|h)$/);

/** `text` has passed `durationSchema`, which is stricter than the parser. */
export function durationMs(text: string): number {
  return parseDurationMs(text) as number;
}
