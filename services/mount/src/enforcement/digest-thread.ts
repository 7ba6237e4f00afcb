/** The thread that computes digests: started with the first, of bounded work, and never waited for for long. */
import { closeSync } from "node:fs";
import { Worker } from "node:worker_threads";
import type { DigestResult, DigestTask } from "./digest-worker.js";

const PROGRAM = new URL("../../dist/enforcement/digest-worker.js", import.meta.url);
/** Files that are waited for at once. */
const MAX_TASKS = 256;
/** A larger file has none. */
export const MAX_DIGEST_BYTES = 256 * 1024 * 1024;
/** What lies on a file system that hangs is not waited for. */
const PATIENCE_MS = 10_000;

/** A digest, or why there is none. */
export type Digested = { digest: string } | { problem: string };

interface Waiting {
  fd: number;
  timer: NodeJS.Timeout;
  settle(digested: Digested): void;
}

export class DigestThread {
  private worker: Worker | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;

  /** `fd` is used up. Never rejects. */
  compute(fd: number): Promise<Digested> {
    if (this.waiting.size >= MAX_TASKS) {
      closeSync(fd);
      return Promise.resolve({ problem: `${MAX_TASKS} others are being computed` });
    }
    const id = ++this.lastId;
    return new Promise((settle) => {
      const timer = setTimeout(() => settle({ problem: `it takes longer than ${PATIENCE_MS} ms` }), PATIENCE_MS);
      this.waiting.set(id, { fd, timer, settle });
      this.running().postMessage({ id, fd, maxBytes: MAX_DIGEST_BYTES } satisfies DigestTask);
    });
  }

  private running(): Worker {
    if (this.worker !== undefined) return this.worker;
    const worker = new Worker(PROGRAM);
    this.worker = worker;
    worker.unref();
    worker.on("message", (result: DigestResult) => this.arrived(result));
    worker.on("error", () => undefined); // it ends then
    worker.on("exit", () => {
      if (this.worker === worker) this.worker = undefined;
      // Nobody reads the descriptors any more.
      for (const id of [...this.waiting.keys()]) this.arrived({ id, error: "the thread ended" });
    });
    return worker;
  }

  private arrived(result: DigestResult): void {
    const waiting = this.waiting.get(result.id);
    if (waiting === undefined) return;
    this.waiting.delete(result.id);
    clearTimeout(waiting.timer);
    closeSync(waiting.fd);
    if ("error" in result) waiting.settle({ problem: `it cannot be read (${result.error})` });
    else if (result.digest === undefined) waiting.settle({ problem: `it is larger than ${MAX_DIGEST_BYTES} bytes` });
    else waiting.settle({ digest: result.digest });
  }

  async close(): Promise<void> {
    const { worker } = this;
    this.worker = undefined;
    await worker?.terminate();
  }
}
