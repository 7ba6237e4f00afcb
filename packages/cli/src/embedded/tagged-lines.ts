/**
 * The output of a decision process: lines that say which policy they are about. It gets pipes, not the logs themselves: with a descriptor of
 * a log it could empty the file, or type at the terminal.
 */
import type { Readable } from "node:stream";
import { escapeLine } from "@sluice/runtime";

/** A longer line is written in parts. */
const MAX_LINE = 64 * 1024;
/** Before a tag. JSON has no such character, and other text is escaped before it is tagged. */
const MARK = "\u0001";
const TAGGED = new RegExp(`^${MARK}(\\d+)([ =])`);

/**
 * The news about a policy. "failed" and "ended" are told on both streams, after all its other lines there: each of them is read on its own.
 */
export type PolicyWord = "serves" | "failed" | "ended";

export interface LineReader {
  word(policy: number, word: PolicyWord): void;
  /** A line with its end. `policy` is undefined if it is about the process. */
  line(policy: number | undefined, line: string): void;
}

/** A line about a policy. */
export function taggedLine(policy: number, line: string): string {
  return `${MARK}${policy} ${line}`;
}

export function taggedWord(policy: number, word: PolicyWord): string {
  return `${MARK}${policy}=${word}\n`;
}

/** Lines of its log go through unchanged; other output, such as that of a crash, becomes text. */
function asLine(line: string): string {
  try {
    JSON.parse(line);
    return line;
  } catch {
    return escapeLine(line);
  }
}

export function readTaggedLines(from: Readable, reader: LineReader): void {
  let rest = "";
  /** Of the line whose first part was too long to wait for its end. */
  let begunFor: number | undefined;
  let hasBegun = false;
  const take = (text: string): void => {
    const [tag = "", id, kind] = hasBegun ? [] : (TAGGED.exec(text) ?? []);
    const policy = hasBegun ? begunFor : id === undefined ? undefined : Number(id);
    begunFor = policy;
    const line = text.slice(tag.length);
    if (kind === "=" && policy !== undefined) reader.word(policy, line as PolicyWord);
    else reader.line(policy, `${asLine(line)}\n`);
  };
  from.setEncoding("utf8");
  from.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      take(line);
      hasBegun = false;
    }
    if (rest.length <= MAX_LINE) return;
    take(rest);
    hasBegun = true;
    rest = "";
  });
  from.on("end", () => {
    if (rest !== "") take(rest);
  });
}
