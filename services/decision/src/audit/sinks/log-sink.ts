/** A target of the decision log's lines. */
export interface LogSink {
  /** For metrics and messages: "stdout", "file", "http", "nats". */
  readonly name: string;
  /**
   * Takes all of them or none: if it rejects, they are sent again. `keys` tell repetitions of one line apart from another.
   * Rejects with `Unacceptable` if no repetition will help, and with `TooLong` if a part of them may be taken.
   */
  write(lines: readonly LogEntry[]): Promise<void>;
  close(): Promise<void>;
}

export interface LogEntry {
  /** JSON, without the end of the line. */
  text: string;
  /** The same for each repetition. */
  key: string;
}

/** These lines will never be taken. */
export class Unacceptable extends Error {
  override readonly name: string = "Unacceptable";
}

/** These lines are too long for one request. Fewer may be taken. */
export class TooLong extends Unacceptable {
  override readonly name = "TooLong";
}
