/** The logger of a service: pino JSON, and readable lines at a terminal. Libraries do not log; they emit. */
import { constants, openSync } from "node:fs";
import { isatty } from "node:tty";
import { type DestinationStream, destination, type Logger, type LoggerOptions, pino } from "pino";
import { CliError, EXIT } from "./cli-error.js";
import type { LogLevel } from "./log-levels.js";
import { unwaitingStderr } from "./output/unwaiting-stderr.js";
import { terminalLine } from "./terminal-line.js";

export type { Logger } from "pino";

export interface LoggerConfig {
  /** The name of the service, in each line. */
  name: string;
  level?: LogLevel | undefined;
  /** A file to append to; by default standard error, since standard output belongs to the commands. */
  file?: string | undefined;
  /** Gets the lines instead. */
  output?: DestinationStream | undefined;
}

export interface LogDestination extends DestinationStream {
  /** Standard error stays open. */
  close(): void;
}

export interface OpenedLog {
  logger: Logger;
  close(): void;
}

const STDERR = 2;
/** A server of mounts has no umask: without a mode everybody could write the file. */
const LOG_MODE = 0o644;

/** So many bytes wait for room on a full disk, or in a pipe that nobody reads. Further lines are lost. */
const MAX_WAITING_BYTES = 1 << 20;

type Opened = ReturnType<typeof destination>;

/**
 * A full disk must end no service, and no operation of one: pino would throw the error at whoever logs a line. A full pipe must hold nobody up:
 * pino would sleep, and try again.
 */
function opened(dest: number): Opened {
  const output = destination({ dest, sync: true, maxLength: MAX_WAITING_BYTES, retryEAGAIN: () => false });
  output.on("error", () => undefined);
  return output;
}

/** Throws CliError if it cannot be opened, such as a named pipe that nobody reads: others would wait for a reader without an end. */
function openLogFile(file: string): LogDestination {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK, O_NOCTTY } = constants;
  try {
    const output = opened(openSync(file, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY, LOG_MODE));
    return { write: (line) => void output.write(line), close: () => output.destroy() };
  } catch (cause) {
    const { code: errno } = cause as NodeJS.ErrnoException;
    const remedy = "name a file that this user can write";
    throw new CliError({ object: file, problem: "the log file cannot be written", errno, remedy, exitCode: EXIT.USAGE }, { cause });
  }
}

/**
 * The destination of a logger's lines, and of lines of another process for the same log. Lines are written at once: those
 * before a crash are the ones that matter. Throws CliError if the file cannot be opened.
 */
export function logDestination(file: string | undefined): LogDestination {
  if (file !== undefined) return openLogFile(file);
  const output = opened(unwaitingStderr());
  const shown = isatty(STDERR) ? terminalLine : (line: string): string => line;
  return { write: (line) => void output.write(shown(line)), close: () => undefined };
}

/** pino appends the messages of all causes. Most errors here name their cause already. */
function messageOf(error: Error, seen: readonly Error[] = []): string {
  const { message, cause } = error;
  if (!(cause instanceof Error) || seen.includes(cause) || message.includes(cause.message)) return message;
  return `${message}: ${messageOf(cause, [...seen, error])}`;
}

function errorFields(error: unknown): unknown {
  const fields = pino.stdSerializers.err(error as Error);
  if (error instanceof Error) fields.message = messageOf(error);
  return fields;
}

/** For a process that outlives the log. @throws CliError as `logDestination` */
export function openLog(config: LoggerConfig): OpenedLog {
  const options: LoggerOptions = {
    name: config.name,
    level: config.level ?? "info",
    serializers: { err: errorFields, error: errorFields },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
  };
  if (config.output !== undefined) return { logger: pino(options, config.output), close: () => undefined };
  const output = logDestination(config.file);
  return { logger: pino(options, output), close: () => output.close() };
}

export function createLogger(config: LoggerConfig): Logger {
  return openLog(config).logger;
}

/** A logger that logs nothing. */
export function silentLogger(): Logger {
  return pino({ level: "silent" });
}
