/** The error that tells of the loss of a session's view, with the last words of its server. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { LostView } from "@sluice/sandbox";
import type { Session } from "@sluice/sessions";
import { type CliError, escapeLine, failed } from "@sluice/runtime/cli";
import { lastWord } from "../last-word.js";

const MAX_LOG_BYTES = 64 * 1024;
const MAX_WORD_LENGTH = 300;
/** As pino has them. */
const ERROR_LEVEL = 50;

interface LogLine {
  level?: unknown;
  msg?: unknown;
  err?: { message?: unknown } | null;
}

function newText(file: string, fromByte: number): string {
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch {
    // It ended before its first line.
    return "";
  }
  try {
    const { size } = fstatSync(fd);
    const start = Math.max(fromByte, size - MAX_LOG_BYTES);
    const bytes = Buffer.alloc(Math.max(0, size - start));
    return bytes.toString("utf8", 0, readSync(fd, bytes, 0, bytes.length, start));
  } finally {
    closeSync(fd);
  }
}

function errorIn(line: string): string | undefined {
  try {
    const { level, msg, err } = JSON.parse(line) as LogLine;
    if (typeof level !== "number" || level < ERROR_LEVEL) return undefined;
    return [msg, err?.message].filter((word) => typeof word === "string").join(": ");
  } catch {
    // Half a line.
    return undefined;
  }
}

/** A program may have ignored all errors of its files. `fromByte`: the length of its log before the command. */
export function lossOf(session: Session, { how, lastWords }: LostView, fromByte: number): CliError {
  const log = session.path("log");
  const lastError = newText(log, fromByte)
    .split("\n")
    .map(errorIn)
    .findLast((error) => error !== undefined);
  const words = [lastWord(lastWords), lastError ?? ""].filter((word) => word !== "").map((word) => word.slice(0, MAX_WORD_LENGTH));
  const end = [how, ...words].filter((word) => word !== undefined).join("; ");
  const why = end === "" ? "" : ` (${escapeLine(end)})`;
  return failed(session.name, `the mount ended before the command${why}, so changes of the command may be missing`, `see ${log}`);
}
