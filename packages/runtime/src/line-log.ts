/** A file of JSON lines without level and host, written in the background. */
import { destination } from "pino";

export type Destination = { fd: number } | { file: string };
export interface LineLog {
  write(line: object): void;
  /** Resolves when everything is written. */
  close(): Promise<void>;
}

/** @throws if the file cannot be opened */
export function openLineLog(to: Destination): LineLog {
  const sink = destination({ dest: "fd" in to ? to.fd : to.file, append: true, sync: false, minLength: 4096, periodicFlush: 1000 });
  // A full disk must not end the service: lines that cannot be written are lost.
  sink.on("error", () => undefined);
  return {
    write: (line) => void sink.write(`${JSON.stringify(line)}\n`),
    close: () => new Promise((resolve) => sink.flush(() => resolve())),
  };
}
