/**
 * The kernel forgets up to 65,536 nodes by one request. The engine releases them in several turns of the event loop: no caller
 * waits for it, and the order does not matter, since each only returns references that replies gave.
 */
import type { ForgetSink } from "@sluice/fuse-protocol";
import { inTurns } from "@sluice/vfs";

/** So many cost less than a look at whether the turn is over. */
const AT_ONCE = 16;

export class Forgets implements ForgetSink {
  readonly #filesystem: ForgetSink;
  /** Nodes and counts by turns. */
  readonly #pending: number[] = [];
  #running = false;

  constructor(filesystem: ForgetSink) {
    this.#filesystem = filesystem;
  }

  /** The caller calls `begin` afterwards. */
  forget(node: number, count: number): void {
    this.#pending.push(node, count);
  }

  begin(): void {
    if (this.#running) return;
    this.#running = true;
    const done = inTurns(this.#letGo());
    if (done === undefined) this.#running = false;
    else
      void done.then(() => {
        this.#running = false;
      });
  }

  /** Forgets all now: the next server must not find references that the kernel has given back. */
  finish(): void {
    for (const steps = this.#letGo(); steps.next().done !== true; );
  }

  *#letGo(): Generator<void, undefined> {
    for (let step = 1, count = this.#pending.pop(); count !== undefined; step++, count = this.#pending.pop()) {
      this.#filesystem.forget(this.#pending.pop() as number, count);
      if (step % AT_ONCE === 0) yield;
    }
  }
}
