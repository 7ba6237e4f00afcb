/**
 * Rulings that a person gave after the policy had changed. Such an access is judged once more in the same turn of the event loop. The
 * person answered under the policy in force now, so nobody is asked a second time.
 */
import type { Intent } from "@sluice/overlay";
import type { CallContext } from "@sluice/vfs";
import type { DecidedRuling } from "./decided-ruling.js";

export class LateRulings {
  readonly #rulings = new Map<CallContext, { ruling: DecidedRuling; epoch: number }>();

  keep(call: CallContext, ruling: DecidedRuling, epoch: number): void {
    this.#rulings.set(call, { ruling, epoch });
    setImmediate(() => this.#rulings.delete(call));
  }

  /** Undefined: there is none for this access, or it is of another policy. The caller checks that it still holds. */
  take(call: CallContext, intent: Intent, epoch: number): DecidedRuling | undefined {
    if (this.#rulings.size === 0) return undefined;
    const late = this.#rulings.get(call);
    this.#rulings.delete(call);
    const question = late?.ruling.question;
    if (late === undefined || question === undefined || late.epoch !== epoch || intent.compares === true) return undefined;
    const { operation, accesses, resource } = question;
    const same =
      operation === intent.operation && accesses.join() === intent.accesses.join() && resource.paths.join("\0") === intent.paths.join("\0");
    return same ? late.ruling : undefined;
  }
}
