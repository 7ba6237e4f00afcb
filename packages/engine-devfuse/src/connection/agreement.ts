/** The result of the handshake with the kernel: the part of the engine's state that must survive the process. */
import type { Negotiated } from "@sluice/vfs";

export class Agreement {
  #value: Negotiated | undefined;

  get reached(): boolean {
    return this.#value !== undefined;
  }

  get negotiated(): Negotiated {
    if (this.#value === undefined) throw new Error("nothing is negotiated yet: wait for the engine's ready");
    return this.#value;
  }

  record(negotiated: Negotiated): void {
    this.#value = negotiated;
  }
}
