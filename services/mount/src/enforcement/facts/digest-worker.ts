/** Computes digests one after another in its own thread, so that the event loop keeps serving the file system. */
import { createHash } from "node:crypto";
import { readSync } from "node:fs";
import { parentPort } from "node:worker_threads";

export interface DigestTask {
  id: number;
  /** Open for reading until the answer. Threads share the descriptors of the process. */
  fd: number;
  maxBytes: number;
}
/** Hexadecimal; undefined if the file is longer than the limit. */
export type DigestResult = { id: number; digest: string | undefined } | { id: number; error: string };

const CHUNK_BYTES = 1024 * 1024;

function digestOf({ fd, maxBytes }: DigestTask, chunk: Buffer): string | undefined {
  const hash = createHash("sha256");
  for (let at = 0; ; ) {
    const read = readSync(fd, chunk, 0, chunk.length, at);
    if (read === 0) return hash.digest("hex");
    at += read;
    if (at > maxBytes) return undefined;
    hash.update(chunk.subarray(0, read));
  }
}

const port = parentPort;
if (port === null) throw new Error("this program is a thread of the mount service");
const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
port.on("message", (task: DigestTask) => {
  let result: DigestResult;
  try {
    result = { id: task.id, digest: digestOf(task, chunk) };
  } catch (error) {
    result = { id: task.id, error: (error as NodeJS.ErrnoException).code ?? String(error) };
  }
  port.postMessage(result);
});
