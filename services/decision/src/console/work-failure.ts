/** The failure of a call to the console, with its status of HTTP. */

/** The work could not be done; the message is for its caller. */
export class WorkFailure extends Error {
  override readonly name = "WorkFailure";
  constructor(
    readonly status: 400 | 403 | 409 | 411 | 413 | 422,
    message: string,
  ) {
    super(message);
  }
}
