/** One file's copy-up under way, and those who wait for it: it goes on as long as one of them does. */
import { type CallContext, Errno } from "@sluice/vfs";
import { whenDying } from "../layer/caller-process.js";
import { type Node, pathOf } from "../node/node.js";

/** In place of an errno: see `CopyUpJob.stands`. */
export const ABANDONED = -1;

export class CopyUpJob {
  readonly startedMs = performance.now();
  /** Of the original; 0 while it is not known. */
  sizeBytes = 0;
  copiedBytes = 0;
  /** Whoever began it takes the copy's descriptor. */
  handsOver = false;
  handedOver: number | undefined;
  /** Flags of the original in spite of which it is copied: see node/protection.ts. */
  mayHave = 0;
  /** Those it has. */
  has = 0;
  /**
   * Whether the truncation is still allowed. An empty copy in place is the truncation itself, so it is asked in the turn of that, and the
   * copy is abandoned if not.
   */
  stands: (() => boolean) | undefined;
  /** For the same reason it is made of the copy first: if it fails, the file keeps its data. 0 or a negative errno. */
  truncates: ((fd: number) => number) | undefined;
  #waiting = 0;
  #cancelled = false;
  #result: Promise<number> | undefined;

  constructor(
    readonly node: Node,
    /** The data is not wanted. */
    readonly truncate: boolean,
    /** The data stays in its layer. */
    readonly metadataOnly: boolean,
  ) {}

  get path(): string {
    return pathOf(this.node);
  }

  /** Nobody waits any more: stop at the next step. */
  get cancelled(): boolean {
    return this.#cancelled;
  }

  /** Nothing changes as long as nobody waits. */
  get isAbandoned(): boolean {
    return this.truncate && this.#result !== undefined && this.stands?.() === false;
  }

  /** Resolves, whatever became of it. */
  get ended(): Promise<unknown> {
    return (this.#result as Promise<number>).catch(() => Errno.EIO);
  }

  /**
   * Takes the copy's descriptor for the caller that began the job. A caller that may cease to wait opens the copy again. One that truncates
   * does not: its open must not fail any more.
   */
  takes(fd: number): boolean {
    if (!this.handsOver || (this.#result !== undefined && !this.truncate)) return false;
    this.handedOver = fd;
    return true;
  }

  start(result: Promise<number>): void {
    this.#result = result;
  }

  /**
   * 0 or a positive errno. As overlayfs, only a signal that kills the caller ends the wait (EINTR): programs with timers do
   * not expect open(2) of a file to fail. A copy without data is always waited for: it is short, and a caller that joined it to
   * change attributes must not find the file empty because the caller that truncates it went away.
   */
  wait(call: CallContext): Promise<number> {
    const result = this.#result as Promise<number>;
    if (this.truncate) return result;
    this.#waiting++;
    return new Promise((resolve, reject) => {
      const leaving = whenDying(call, () => {
        this.#leave();
        resolve(Errno.EINTR);
      });
      result.then(resolve, reject).finally(leaving.stop);
    });
  }

  #leave(): void {
    if (--this.#waiting === 0) this.#cancelled = true;
  }
}
