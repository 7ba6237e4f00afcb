/** An end of the demo that a person is told about in one line. */

/** 1: a step failed; 3: the machine lacks something; 130 and 143: interrupted, as shells count it. */
export type ExitStatus = 1 | 3 | 130 | 143;

export class DemoError extends Error {
  override readonly name = "DemoError";
  constructor(
    readonly exitStatus: ExitStatus,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
