/** The logger of a service: pino JSON, made pretty where a person looks at it. Libraries do not log; they emit. */
import { createRequire } from "node:module";
import { isatty } from "node:tty";
import { type DestinationStream, destination, type Logger, type LoggerOptions, pino } from "pino";
import { CliError, EXIT } from "./cli-error.js";
import { escapeLine } from "./escape-name.js";
import type { LogLevel } from "./log-levels.js";

export type { Logger } from "pino";

export interface LoggerConfig {
  /** Of the service, in each line. */
  name: string;
  level?: LogLevel | undefined;
  /** A file to append to; standard error where there is none, since standard output belongs to the commands. */
  file?: string | undefined;
}

const STDERR = 2;
const load = createRequire(import.meta.url);

/** Throws CliError if it cannot be opened. */
function openLogFile(file: string): DestinationStream {
  try {
    return destination({ dest: file, append: true, mkdir: false, sync: true });
  } catch (cause) {
    const { code: errno } = cause as NodeJS.ErrnoException;
    const remedy = "name a file that this user can write";
    throw new CliError({ object: file, problem: "the log file cannot be written", errno, remedy, exitCode: EXIT.USAGE }, { cause });
  }
}

/**
 * Where a logger's lines go, and those of another process that belong into the same log. Lines are written at once: those
 * before a crash are the ones that matter. Throws CliError if the file cannot be opened.
 */
export function logDestination(file: string | undefined): DestinationStream {
  if (file !== undefined) return openLogFile(file);
  if (!isatty(STDERR)) return destination({ dest: STDERR, sync: true });
  // Loaded only where a person looks on: it takes longer than the rest of this file.
  const { build: prettyStream } = load("pino-pretty") as typeof import("pino-pretty");
  const pretty = prettyStream({ destination: STDERR, sync: true, ignore: "pid,hostname", translateTime: "SYS:HH:MM:ss.l" });
  return { write: (line) => void pretty.write(withoutCommands(line)) };
}

export function createLogger(config: LoggerConfig): Logger {
  const options: LoggerOptions = {
    name: config.name,
    level: config.level ?? "info",
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
  };
  return pino(options, logDestination(config.file));
}

/** JSON leaves characters that a terminal obeys as they are, and pino-pretty shows some texts without its quotes. */
export function withoutCommands(line: string): string {
  const safe = (key: string, value: unknown): unknown => {
    if (typeof value !== "string") return value;
    return key === "stack" ? value.split("\n").map(escapeLine).join("\n") : escapeLine(value);
  };
  try {
    return `${JSON.stringify(JSON.parse(line, safe))}\n`;
  } catch {
    // Another process' last words.
    return `${escapeLine(line.trimEnd())}\n`;
  }
}

/** A logger that says nothing. */
export function silentLogger(): Logger {
  return pino({ level: "silent" });
}
