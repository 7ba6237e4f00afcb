/**
 * A rename or a link gives an object another path, and with it perhaps laxer rules: `mv secrets/x public/x`. So it needs its
 * own access at the source and `create` at the target, and every access that policy governs must be ruled at the target as
 * strictly as at the source, obligations included. Otherwise a file could be moved to where a rate, an audit or a denied
 * chmod does not reach it, and back.
 *
 * `create` is not compared: it says what may come to a path, not what may be done with the object that has it.
 */
import { andThen, type CallContext, Errno, O, type Status } from "@sluice/vfs";
import type { GateContext } from "./gate-context.js";
import type { Node } from "../node/node.js";
import type { Access, Gate, Intent, Operation, Ruling } from "../contract/gate.js";
import { GRANTED } from "./governs.js";
import { firstDenial, type GovernedAccess, JudgedAccesses } from "./judged-accesses.js";

export interface Move {
  operation: "rename" | "link";
  node: Node;
  /** The object as it is: its paths, attributes, layer. `operation` and `accesses` are set here. */
  source: Omit<Intent, "operation" | "accesses">;
  targetPath: string;
}

/** The accesses to compare, each with the operation that asks for it: policies may look at the operation. */
const COMPARED: readonly { operation: Operation; accesses: readonly { access: Access; openFlags: number }[] }[] = [
  {
    operation: "open",
    accesses: [
      { access: "read", openFlags: O.RDONLY },
      { access: "write", openFlags: O.WRONLY },
      { access: "execute", openFlags: O.EXEC },
    ],
  },
  {
    operation: "setattr",
    accesses: [
      { access: "truncate", openFlags: 0 },
      { access: "metadata", openFlags: 0 },
    ],
  },
  { operation: "unlink", accesses: [{ access: "delete", openFlags: 0 }] },
  { operation: "rename", accesses: [{ access: "rename", openFlags: 0 }] },
  { operation: "link", accesses: [{ access: "link", openFlags: 0 }] },
];

/** Accesses that one question asks about. */
type Group = (typeof COMPARED)[number];

/**
 * First asks whether the source imposes anything, one question an operation. Mostly it does not, and then no target can be
 * laxer. (An answer is never laxer for more accesses: the contract of every engine.) An operation on which something is imposed is
 * then asked about access by access, at both ends.
 */
export class MoveComparison {
  /** The move's own accesses, then what the source imposes. */
  readonly #first = new JudgedAccesses();
  readonly #both = new JudgedAccesses();
  readonly #own: readonly GovernedAccess[];
  readonly #groups: readonly Group[];
  #imposing: readonly Group[] = [];

  constructor(
    gate: Gate,
    private readonly move: Move,
  ) {
    const { operation, node, source } = move;
    const own: GovernedAccess[] = [];
    if (gate.governs(operation)) own.push({ intent: { ...source, operation, accesses: [operation] }, node });
    if (gate.governs("create")) own.push({ intent: { ...this.#target(), operation, accesses: ["create"] }, node });
    this.#own = own;
    this.#groups = COMPARED.map((group) => ({
      ...group,
      accesses: group.accesses.filter(({ access }) => access !== operation && gate.governs(access)),
    })).filter(({ accesses }) => accesses.length > 0);
  }

  /** 0, or the errno of the refusal. */
  judge(core: GateContext, call: CallContext): Status {
    const { gate } = core;
    const weigh = (rulings: readonly Ruling[]): number => {
      this.#imposing = this.#groups.filter((_, at) => gate.isLaxer(GRANTED, rulings[this.#own.length + at] as Ruling));
      return firstDenial(rulings.slice(0, this.#own.length));
    };
    return andThen(this.#first.judge(core, call, this.#atSource(), weigh), (errno) =>
      errno !== 0 ? errno : this.#both.judge(core, call, this.#atBoth(this.#imposing), (rulings) => compare(gate, rulings)),
    );
  }

  /** `now`: of the same move, described again. */
  holds(core: GateContext, call: CallContext, now: MoveComparison): boolean {
    return this.#first.hold(core, call, now.#atSource()) && this.#both.hold(core, call, now.#atBoth(this.#imposing));
  }

  #target(): Move["source"] {
    return { ...this.move.source, paths: [this.move.targetPath], layer: "upper" };
  }

  #atSource(): readonly GovernedAccess[] {
    return [...this.#own, ...this.#groups.map((group) => this.#ask(group, this.move.source))];
  }

  /** Source and target in turn. */
  #atBoth(groups: readonly Group[]): readonly GovernedAccess[] {
    const single = groups.flatMap(({ operation, accesses }) => accesses.map((access) => ({ operation, accesses: [access] })));
    return single.flatMap((one) => [this.#ask(one, this.move.source), this.#ask(one, this.#target())]);
  }

  #ask({ operation, accesses }: Group, end: Move["source"]): GovernedAccess {
    const { node } = this.move;
    const openFlags = accesses.reduce((flags, one) => flags | one.openFlags, 0);
    const as = operation === "unlink" && node.isDirectory ? "rmdir" : operation;
    return { intent: { ...end, operation: as, accesses: accesses.map(({ access }) => access), openFlags, compares: true }, node };
  }
}

function compare(gate: Gate, rulings: readonly Ruling[]): number {
  for (let at = 0; at < rulings.length; at += 2) {
    if (gate.isLaxer(rulings[at + 1] as Ruling, rulings[at] as Ruling)) return Errno.EACCES;
  }
  return 0;
}
