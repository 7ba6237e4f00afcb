/** Accesses that were judged together, each with its intent and its ruling. */
import type { CallContext, Status } from "@sluice/vfs";
import type { GateContext } from "./gate-context.js";
import type { Node } from "../node/node.js";
import type { Intent, Ruling } from "../contract/gate.js";

/** One access that is about to happen. */
export interface GovernedAccess {
  readonly intent: Intent;
  /** The object it is about; undefined: a name that nothing has yet. */
  readonly node: Node | undefined;
}

/** Of an operation that the policy in force says nothing about. */
export const NO_ACCESS: readonly GovernedAccess[] = [];

export class JudgedAccesses {
  #accesses: readonly GovernedAccess[] = [];
  #rulings: readonly Ruling[] = [];

  /** 0 if `weigh` finds nothing against it; by default, if none is denied. At once if the gate answers at once. */
  judge(core: GateContext, call: CallContext, accesses: readonly GovernedAccess[], weigh = firstDenial): Status {
    this.#accesses = accesses;
    if (accesses.length === 0) return 0;
    const rulings = accesses.map(({ intent }) => core.gate.authorize(call, intent));
    const weighed = (all: readonly Ruling[]): number => weigh((this.#rulings = all));
    if (!rulings.some((ruling) => ruling instanceof Promise)) return weighed(rulings as Ruling[]);
    return Promise.all(rulings.map((ruling) => Promise.resolve(ruling))).then(weighed);
  }

  /** Are these, described now, the accesses that were judged, and do the rulings hold for them? */
  hold(core: GateContext, call: CallContext, now: readonly GovernedAccess[]): boolean {
    const was = this.#accesses;
    return was.length === now.length && now.every((access, at) => this.#holds(core, call, { access, at }));
  }

  #holds(core: GateContext, call: CallContext, { access, at }: { access: GovernedAccess; at: number }): boolean {
    const was = this.#accesses[at] as GovernedAccess;
    return (
      was.node === access.node && isSame(was.intent, access.intent) && core.gate.holds(call, this.#rulings[at] as Ruling, access.intent)
    );
  }
}

/** The errno of the first denial, or 0. */
export function firstDenial(rulings: readonly Ruling[]): number {
  return rulings.find(({ effect }) => effect === "deny")?.errno ?? 0;
}

/** The same paths, of an object that others may do the same with? */
function isSame(was: Intent, now: Intent): boolean {
  if (was.paths.length !== now.paths.length || was.paths.some((path, at) => path !== now.paths[at])) return false;
  return was.attr.mode === now.attr.mode && was.attr.uid === now.attr.uid && was.attr.gid === now.attr.gid;
}
