/**
 * A patch for a terminal: a file of a session must not move the cursor over the lines before, nor show its own lines in another order.
 * Tabs and newlines stay.
 */
import { toText } from "@sluice/native";
import { escapeLine } from "@sluice/runtime/cli";

/** @param patch a byte string */
export function forTerminal(patch: string): string {
  return toText(patch).replace(/[^\n\t]+/g, escapeLine);
}
