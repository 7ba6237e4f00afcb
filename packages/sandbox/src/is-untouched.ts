/** Whether a session has changes at all. */
import { readdirSync } from "node:fs";
import type { Session } from "@sluice/sessions";

/** No layer of the session has anything, so nothing needs to be compared. */
export function isUntouched({ record, upper }: Session): boolean {
  try {
    return record.layers.length === 0 && readdirSync(upper).length === 0;
  } catch {
    // The command closed its directory: a review opens it.
    return false;
  }
}
