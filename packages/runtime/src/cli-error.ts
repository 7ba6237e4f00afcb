/** Errors of a command line: one line with the object, the problem and the remedy, and an exit code for the kind of problem. */
import { escapeLine } from "./escape-name.js";

export const EXIT = {
  DONE: 0,
  /** Failed while running. */
  FAILED: 1,
  /** The command line or a file is wrong. */
  USAGE: 2,
  /** The machine lacks something. */
  MACHINE: 3,
  /** The mount point or a layer is in use or unfit. */
  UNFIT: 4,
  /** Somebody else changed the same files: nothing was changed. */
  CONFLICT: 5,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
/** They end a command that works for a person, or that has not begun. */
export const ENDING = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
export type EndingSignal = (typeof ENDING)[number];
/** 128 and the number of one of them. */
export type SignalExit = 129 | 130 | 143;

export interface Complaint {
  /** The object of the error: a path, an option, a target. */
  object: string;
  /** The problem, in lower case, without the errno. */
  problem: string;
  /** The name of the errno, if there is one: "EACCES". */
  errno?: string | undefined;
  /** What to do about it. */
  remedy: string;
  exitCode: ExitCode | SignalExit;
}

/** An error for the person at the terminal. Its message is the line without "sluice: ". */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: ExitCode | SignalExit;
  readonly object: string;
  readonly problem: string;
  readonly remedy: string;

  constructor(complaint: Complaint, options?: ErrorOptions) {
    const errno = complaint.errno === undefined ? "" : ` (${complaint.errno})`;
    super(`${complaint.object}: ${complaint.problem}${errno}: ${complaint.remedy}`, options);
    this.exitCode = complaint.exitCode;
    this.object = complaint.object;
    this.problem = complaint.problem;
    this.remedy = complaint.remedy;
  }
}

export function failed(object: string, problem: string, remedy: string): CliError {
  return new CliError({ object, problem, remedy, exitCode: EXIT.FAILED });
}

/** The command line or a file is wrong. */
export function wrong(object: string, problem: string, remedy: string): CliError {
  return new CliError({ object, problem, remedy, exitCode: EXIT.USAGE });
}

export function lacking(object: string, problem: string, remedy: string): CliError {
  return new CliError({ object, problem, remedy, exitCode: EXIT.MACHINE });
}

/** The mount point or a layer is in use or unfit. */
export function unfit(object: string, problem: string, remedy: string): CliError {
  return new CliError({ object, problem, remedy, exitCode: EXIT.UNFIT });
}

/** The same, or the error of the bundle's loader about a replaced package (packages/dev/chunk-loader.cjs) as one for a person. */
export function forPerson(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== "ReplacedError") return error;
  const { object, problem, remedy } = error as Error & Pick<Complaint, "object" | "problem" | "remedy">;
  return new CliError({ object, problem, remedy, exitCode: EXIT.FAILED }, { cause: error });
}

/** "ENOENT" of an error of node:fs; its message if it has no code. */
export function codeOf(error: unknown): string {
  if (error instanceof Error) return (error as NodeJS.ErrnoException).code ?? error.message;
  return String(error);
}

/** `sluice: OBJECT: what is wrong (ERRNO): what to do`, always one line: names may hold any byte. */
export function errorLine(message: string): string {
  return `sluice: ${escapeLine(message)}\n`;
}
