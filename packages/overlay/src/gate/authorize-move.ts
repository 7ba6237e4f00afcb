/**
 * A rename or a link gives an object another path, and with it perhaps a laxer rule: `mv secrets/x public/x`. So it needs
 * its own access at the source, `create` at the target, and the target's rule must be at least as strict as the source's.
 */
import { type CallContext, Errno } from "@sluice/vfs";
import type { Core } from "../core.js";
import { STRICTNESS } from "./authorize.js";
import type { Access, Intent, Ruling } from "./gate.js";

export interface Move {
  operation: "rename" | "link";
  /** The object as it is: its paths, attributes, layer. `operation` and `accesses` are set here. */
  source: Omit<Intent, "operation" | "accesses">;
  targetPath: string;
}

/** 0, or the errno of the refusal. */
export async function authorizeMove(core: Core, call: CallContext, move: Move): Promise<number> {
  const { operation, source } = move;
  const target = { ...source, paths: [move.targetPath], layer: "upper" };
  const ask = (at: Omit<Intent, "operation" | "accesses">, access: Access, as: Intent["operation"] = operation): Ruling | Promise<Ruling> =>
    core.gate.authorize(call, { ...at, operation: as, accesses: [access] });
  const [from, to, readFrom, readTo, writeFrom, writeTo] = await Promise.all([
    ask(source, operation),
    ask(target, "create"),
    ask(source, "read"),
    ask(target, "read"),
    ask(source, "write"),
    ask(target, "write"),
  ]);
  if (from.effect === "deny") return from.errno;
  if (to.effect === "deny") return to.errno;
  return laxer(readTo, readFrom) || laxer(writeTo, writeFrom) ? Errno.EACCES : 0;
}

function laxer(target: Ruling, source: Ruling): boolean {
  return STRICTNESS[target.effect] < STRICTNESS[source.effect];
}
