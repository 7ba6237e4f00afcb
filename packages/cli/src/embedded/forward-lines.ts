/**
 * Writes another process' lines into our log. It has a pipe and not the log itself: with a descriptor of the log it could
 * empty the file, or type at the terminal.
 */
import type { Readable } from "node:stream";
import { escapeLine } from "@sluice/runtime";

/** A longer line is written in parts. */
const MAX_LINE = 64 * 1024;

/** Its log's lines go as they are, and what a runtime says at its end as text. */
function asLine(line: string): string {
  try {
    JSON.parse(line);
    return line;
  } catch {
    return escapeLine(line);
  }
}

export function forwardLines(from: Readable, writeLine: (line: string) => void): void {
  const write = (line: string): void => writeLine(`${asLine(line)}\n`);
  let rest = "";
  from.setEncoding("utf8");
  from.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) write(line);
    if (rest.length <= MAX_LINE) return;
    write(rest);
    rest = "";
  });
  from.on("end", () => {
    if (rest !== "") write(rest);
  });
}
