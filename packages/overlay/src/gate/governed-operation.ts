/** An operation whose accesses are all known beforehand: every one but OPEN and RENAME. */
import type { CallContext, Status } from "@sluice/vfs";
import type { GateContext } from "./gate-context.js";
import type { Permit } from "../layer/permit.js";
import type { Governed } from "./govern.js";
import { type GovernedAccess, JudgedAccesses } from "./judged-accesses.js";

export abstract class GovernedOperation<Context extends GateContext> implements Governed<Context> {
  /** Made where the policy governs something. */
  #judged: JudgedAccesses | undefined = undefined;

  constructor(readonly call: CallContext) {}

  /** The accesses that are about to happen, as things are now: none if the policy does not govern them. The errno if they cannot happen. */
  protected abstract accesses(core: Context): readonly GovernedAccess[] | number;

  judge(core: Context): Status {
    const accesses = this.accesses(core);
    if (typeof accesses === "number") return accesses;
    this.#judged = accesses.length === 0 ? undefined : new JudgedAccesses();
    return this.#judged?.judge(core, this.call, accesses) ?? 0;
  }

  /** An operation that cannot happen any more is judged again, which gives its errno. */
  holds(core: Context): boolean {
    const accesses = this.accesses(core);
    if (typeof accesses === "number") return false;
    return this.#judged === undefined ? accesses.length === 0 : this.#judged.hold(core, this.call, accesses);
  }

  prepare(_core: Context, _permit: Permit): Status {
    return 0;
  }

  abstract commit(core: Context, permit: Permit): number;
}
