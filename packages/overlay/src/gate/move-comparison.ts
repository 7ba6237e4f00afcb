/**
 * A rename or a link gives an object another path, and with it perhaps laxer rules: `mv secrets/x public/x`. So it needs its
 * own access at the source and `create` at the target, and every access that policy governs must be ruled at the target as
 * strictly as at the source, obligations included. Otherwise a file could be moved to where a rate, an audit or a denied
 * chmod does not reach it, and back.
 *
 * `create` is not compared: it says what may come to a path, not what may be done with the object that has it.
 */
import type { CallContext, Status } from "@sluice/vfs";
import { Errno, O } from "@sluice/vfs";
import type { Core } from "../core.js";
import type { Node } from "../node/node.js";
import type { Access, Gate, Intent, Operation, Ruling } from "./gate.js";
import { GRANTED } from "./governs.js";
import { firstDenial, type GovernedAccess, type JudgedAccesses } from "./judged-accesses.js";

export interface Move {
  operation: "rename" | "link";
  node: Node;
  /** The object as it is: its paths, attributes, layer. `operation` and `accesses` are set here. */
  source: Omit<Intent, "operation" | "accesses">;
  targetPath: string;
}

/** The access as a caller would ask for it: policies may look at the operation. */
const COMPARED: readonly { access: Access; operation: Operation; openFlags: number }[] = [
  { access: "read", operation: "open", openFlags: O.RDONLY },
  { access: "write", operation: "open", openFlags: O.WRONLY },
  { access: "execute", operation: "open", openFlags: O.EXEC },
  { access: "truncate", operation: "setattr", openFlags: 0 },
  { access: "metadata", operation: "setattr", openFlags: 0 },
  { access: "delete", operation: "unlink", openFlags: 0 },
  { access: "rename", operation: "rename", openFlags: 0 },
  { access: "link", operation: "link", openFlags: 0 },
];

export class MoveComparison {
  /** First the move's own; then those that are compared, source and target in turn. */
  readonly accesses: readonly GovernedAccess[];
  readonly #own: number;

  constructor(gate: Gate, { operation, node, source, targetPath }: Move) {
    const target = { ...source, paths: [targetPath], layer: "upper" };
    const own: GovernedAccess[] = [];
    if (gate.governs(operation)) own.push({ intent: { ...source, operation, accesses: [operation] }, node });
    if (gate.governs("create")) own.push({ intent: { ...target, operation, accesses: ["create"] }, node });
    this.#own = own.length;
    const compared = COMPARED.filter(({ access }) => access !== operation && gate.governs(access));
    const both = compared.flatMap(({ access, ...as }) =>
      [source, target].map((end) => ({
        intent: { ...end, ...as, operation: usual(as.operation, node), accesses: [access], compares: true as const },
        node,
      })),
    );
    this.accesses = [...own, ...both];
  }

  /** 0, or the errno of the refusal. */
  judge(core: Core, call: CallContext, judged: JudgedAccesses): Status {
    return judged.judge(core, call, this.accesses, (rulings) => this.weigh(core.gate, rulings));
  }

  /** What the rulings on `accesses` come to: 0, or the errno of the refusal. */
  weigh(gate: Gate, rulings: readonly Ruling[]): number {
    const denied = firstDenial(rulings.slice(0, this.#own));
    if (denied !== 0) return denied;
    for (let at = this.#own; at < rulings.length; at += 2) {
      if (gate.isLaxer(rulings[at + 1] ?? GRANTED, rulings[at] ?? GRANTED)) return Errno.EACCES;
    }
    return 0;
  }
}

function usual(operation: Operation, node: Node): Operation {
  return operation === "unlink" && node.isDirectory ? "rmdir" : operation;
}
