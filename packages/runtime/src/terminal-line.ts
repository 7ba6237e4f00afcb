/** Log lines for a person at a terminal, made from the JSON for files and pipes: one line each, without values of many parts. */
import { escapeLine } from "./escape-name.js";

const LEVELS: Readonly<Record<number, string>> = { 10: "trace: ", 20: "debug: ", 30: "", 40: "warning: ", 50: "error: ", 60: "fatal: " };
const ERROR = 50;
/** Shown at the beginning of the line, or of no use to a person. */
const TOLD = new Set(["level", "time", "pid", "hostname", "name", "msg", "err"]);

function wordsOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.every((item) => typeof item === "string") ? value.join(", ") : undefined;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}

function fieldsOf(log: Readonly<Record<string, unknown>>): string {
  const fields = Object.entries(log).flatMap(([key, value]) => {
    const words = TOLD.has(key) ? undefined : wordsOf(value);
    return words === undefined || words === "" ? [] : [`${key} ${escapeLine(words)}`];
  });
  return fields.length === 0 ? "" : ` (${fields.join("; ")})`;
}

function clock(time: string): string {
  const at = new Date(time);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** The fields of every line of this package's logger. */
interface Log extends Readonly<Record<string, unknown>> {
  level: number;
  time: string;
  name: string;
  msg?: string;
  err?: { message?: string; stack?: string };
}

function parsed(json: string): Log | undefined {
  try {
    return JSON.parse(json) as Log;
  } catch {
    return undefined;
  }
}

/** "12:34:56 mount: warning: the decision service cannot be reached (target …)"; an error has its stack below. */
export function terminalLine(json: string): string {
  const log = parsed(json);
  // Another process' last words.
  if (log === undefined) return `${escapeLine(json.trimEnd())}\n`;
  const { level, time, name, msg = "", err } = log;
  const cause = err?.message === undefined ? "" : `: ${escapeLine(err.message)}`;
  const first = `${clock(time)} ${name}: ${LEVELS[level] ?? ""}${escapeLine(msg)}${cause}${fieldsOf(log)}\n`;
  if (level < ERROR || err?.stack === undefined) return first;
  const stack = err.stack.split("\n").filter((line) => /^\s+at /.test(line));
  return first + stack.map((line) => `    ${escapeLine(line.trim())}\n`).join("");
}
