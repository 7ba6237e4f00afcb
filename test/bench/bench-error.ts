/** An end of the benchmark that is its own doing or the machine's, with the exit code that says which. */

/** 1: a subject or phase broke. 2: the command line is wrong. 3: the machine lacks something. */
export type BenchExit = 1 | 2 | 3;

export class BenchError extends Error {
  override readonly name = "BenchError";
  constructor(
    readonly exitCode: BenchExit,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
