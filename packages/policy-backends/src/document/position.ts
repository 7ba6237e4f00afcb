/** The place of an offset in a text, for a person. */
import type { Position } from "./yaml-document.js";

/** `offset` counts bytes of UTF-8, as engines do that are not written in JavaScript. */
export function positionAt(text: string, offset: number): Position {
  const before = Buffer.from(text, "utf8").subarray(0, offset).toString("utf8");
  const start = before.lastIndexOf("\n") + 1;
  return { line: before.split("\n").length, column: before.length - start + 1 };
}
