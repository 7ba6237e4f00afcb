/** Identifiers that never repeat: a random prefix for the process and a counter, since a random number each time is dear. */
import { randomBytes } from "node:crypto";

/** Returns a maker of ids such as "q-3fK0…-1a": printable ASCII, under 40 characters. */
export function mintIds(kind: string): () => string {
  const prefix = `${kind}-${randomBytes(12).toString("base64url")}-`;
  let next = 0;
  return () => prefix + (next++).toString(36);
}

/** An id for a question of this process. */
export const newQuestionId: () => string = mintIds("q");
