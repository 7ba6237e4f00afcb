/** A descriptor with one owner. Not for hot paths that keep descriptors as plain numbers. */
import { check } from "./native-error.js";
import { native } from "./native.js";

const CLOSED = -1;

export class Fd {
  #number: number;

  /** Takes ownership of `number`; a negative one (an errno that nobody looked at) is a bug. */
  constructor(number: number) {
    if (!Number.isInteger(number) || number < 0) throw new RangeError(`${number} is not a descriptor: check the result before owning it`);
    this.#number = number;
  }

  /** @throws NativeError if `result` is a negative errno; `what` completes "cannot ...". */
  static own(result: number, what: string): Fd {
    return new Fd(check(result, what));
  }

  get isOpen(): boolean {
    return this.#number !== CLOSED;
  }

  /** @throws where it was closed or released: its number may be somebody else's by now. */
  get number(): number {
    if (this.#number === CLOSED) throw new Error("the descriptor is closed: use it before close, or keep a duplicate");
    return this.#number;
  }

  /** Gives ownership away: the caller closes the number. */
  release(): number {
    const number = this.number;
    this.#number = CLOSED;
    return number;
  }

  /** @returns 0, or the negative errno of a write that failed late (-EIO, -ENOSPC); closed in either case. */
  close(): number {
    return native.close(this.release());
  }
}
