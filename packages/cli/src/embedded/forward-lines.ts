/**
 * Copies the lines of another process to our log. The process gets a pipe, not the log itself: with a descriptor of the log it could empty
 * the file, or type at the terminal.
 */
import type { Readable } from "node:stream";
import { escapeLine } from "@sluice/runtime";

/** A longer line is written in parts. */
const MAX_LINE = 64 * 1024;

/** Lines of its log go through unchanged; other output, such as that of a crash, becomes text. */
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
