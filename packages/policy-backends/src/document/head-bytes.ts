/** How much of the beginning of a file a policy looks at. */
import { QUESTION_LIMITS } from "@sluice/decision-api";
import { z } from "zod";

export const headBytesSchema = z.number().int().min(1).max(QUESTION_LIMITS.headBytes);
export const HEAD_BYTES_REMEDY = `write a whole number from 1 to ${QUESTION_LIMITS.headBytes}`;

/** Enough for every magic number but that of a tar archive within, and for the first line of a script. */
export const DEFAULT_HEAD_BYTES = 512;
