/** The thread that computes digests. It starts with the first digest, its work is bounded, and nobody waits long for it. */
import { closeSync } from "node:fs";
import { Worker } from "node:worker_threads";
import type { DigestResult, DigestTask } from "./digest-worker.js";

const PROGRAM = new URL("../../../dist/enforcement/facts/digest-worker.js", import.meta.url);
/** The limit of files in progress at once. */
const MAX_TASKS = 256;
/** A larger file has no digest. */
export const MAX_DIGEST_BYTES = 256 * 1024 * 1024;
/** Bounds the wait for a file system that hangs. */
const DIGEST_TIMEOUT_MS = 10_000;

/** A digest, or the reason why there is none. */
export type Digested = { digest: string } | { problem: string };

interface Waiting {
  fd: number;
  timer: NodeJS.Timeout;
  resolve(digested: Digested): void;
}

export class DigestThread {
  private worker: Worker | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;

  /** Takes over `fd`. Never rejects. */
  compute(fd: number): Promise<Digested> {
    if (this.waiting.size >= MAX_TASKS) {
      closeSync(fd);
      return Promise.resolve({ problem: `${MAX_TASKS} others are being computed` });
    }
    const id = ++this.lastId;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve({ problem: `it takes longer than ${DIGEST_TIMEOUT_MS} ms` }), DIGEST_TIMEOUT_MS);
      this.waiting.set(id, { fd, timer, resolve });
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
    if ("error" in result) waiting.resolve({ problem: `it cannot be read (${result.error})` });
    else if (result.digest === undefined) waiting.resolve({ problem: `it is larger than ${MAX_DIGEST_BYTES} bytes` });
    else waiting.resolve({ digest: result.digest });
  }

  async close(): Promise<void> {
    const { worker } = this;
    this.worker = undefined;
    await worker?.terminate();
  }
}
