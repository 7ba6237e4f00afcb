/** The decision log on standard output. */
import { write } from "node:fs";
import type { LogEntry, LogSink } from "./log-sink.js";

const STDOUT = 1;
const FULL_PIPE_MS = 20;

function writeSome(bytes: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    write(STDOUT, bytes, (error, written) => {
      if (error === null) resolve(written);
      else if (error.code === "EAGAIN") setTimeout(resolve, FULL_PIPE_MS, 0);
      else reject(error);
    });
  });
}

export class StdoutSink implements LogSink {
  readonly name = "stdout";

  async write(lines: readonly LogEntry[]): Promise<void> {
    let bytes = Buffer.from(`${lines.map(({ text }) => text).join("\n")}\n`);
    while (bytes.length > 0) bytes = bytes.subarray(await writeSome(bytes));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
