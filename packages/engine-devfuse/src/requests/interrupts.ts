/** The requests that wait for an answer, by their unique: for INTERRUPT, for resent requests, and for the connection's end. */
import { Opcode, RESEND_BIT_HI } from "@sluice/fuse-protocol";
import type { Slot } from "./slots.js";

/** An unknown request that is interrupted repeatedly gets EAGAIN this often, then no more: see `answerUnknown`. */
const UNKNOWN_ANSWERS = 3;

/** Uniques count up from 2 in steps of 2: they stay far below 2^53. The resend bit is not part of the identity. */
function keyOf(lo: number, hi: number): number {
  return (hi & ~RESEND_BIT_HI) * 0x1_0000_0000 + lo;
}

export class InFlight {
  readonly #slots = new Map<number, Slot>();
  #waiting = 0;
  /** The waiting requests for a lock that another owner holds. */
  #forLocks = 0;
  #onFewer: (() => void) | undefined;
  #unknown = { key: -1, times: 0 };

  get size(): number {
    return this.#waiting;
  }

  add(slot: Slot): void {
    this.#waiting += 1;
    if (slot.opcode === Opcode.SETLKW) this.#forLocks += 1;
    this.#slots.set(keyOf(slot.uniqueLo, slot.uniqueHi), slot);
  }

  remove(slot: Slot): void {
    const key = keyOf(slot.uniqueLo, slot.uniqueHi);
    if (this.#slots.get(key) === slot) this.#slots.delete(key);
    this.#waiting -= 1;
    if (slot.opcode === Opcode.SETLKW) this.#forLocks -= 1;
    this.#onFewer?.();
  }

  find(lo: number, hi: number): Slot | undefined {
    return this.#slots.size === 0 ? undefined : this.#slots.get(keyOf(lo, hi));
  }

  /**
   * Whether an INTERRUPT of an unknown request is to be answered EAGAIN, so that the kernel sends it again. With one
   * channel a request is read before its interrupt, so an unknown one is usually answered already and EAGAIN goes
   * nowhere (ENOENT). A request read by a server before this one comes again by RESEND, perhaps after its interrupt:
   * then it helps. Bounded, since the kernel sends it back at once and both would spin.
   */
  answerUnknown(lo: number, hi: number): boolean {
    const key = keyOf(lo, hi);
    if (this.#unknown.key !== key) this.#unknown = { key, times: 0 };
    this.#unknown.times += 1;
    return this.#unknown.times <= UNKNOWN_ANSWERS;
  }

  interruptAll(): void {
    for (const slot of this.#slots.values()) slot.interrupt();
  }

  /** Resolves with true when no request waits, or with false after `limitMs`. */
  idle(limitMs: number): Promise<boolean> {
    return this.#until(() => this.#waiting === 0, limitMs);
  }

  /** Resolves when no request waits, however long that takes. */
  async ended(): Promise<void> {
    await this.#until(() => this.#waiting === 0);
  }

  /** `idle` without requests that wait for a lock, as they may wait for ever. */
  idleButForLocks(limitMs: number): Promise<boolean> {
    return this.#until(() => this.#waiting === this.#forLocks, limitMs);
  }

  #until(reached: () => boolean, limitMs?: number): Promise<boolean> {
    if (reached()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = limitMs === undefined ? undefined : setTimeout(() => resolve(false), limitMs);
      this.#onFewer = () => {
        if (!reached()) return;
        clearTimeout(timer);
        resolve(true);
      };
    });
  }
}
