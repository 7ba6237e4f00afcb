/** The complaints of the command line: one line each, with what is wrong, what to do, and the exit code that says whose fault it is. */
import { CliError } from "@sluice/runtime";

/** Exit code 2: the command line or a file is wrong. */
export function wrong(object: string, problem: string, remedy: string): CliError {
  return new CliError({ object, problem, remedy, exitCode: 2 });
}

/** Exit code 3: the machine lacks something. */
export function lacking(object: string, problem: string, remedy: string): CliError {
  return new CliError({ object, problem, remedy, exitCode: 3 });
}

/** Exit code 4: the mount point or a layer is in use or unfit. */
export function unfit(object: string, problem: string, remedy: string): CliError {
  return new CliError({ object, problem, remedy, exitCode: 4 });
}

/** Exit code 1: failed while running. */
export function failed(object: string, problem: string, remedy: string): CliError {
  return new CliError({ object, problem, remedy, exitCode: 1 });
}

/** "ENOENT" of an error of node:fs; its message where it has no code. */
export function codeOf(error: unknown): string {
  if (error instanceof Error) return (error as NodeJS.ErrnoException).code ?? error.message;
  return String(error);
}
