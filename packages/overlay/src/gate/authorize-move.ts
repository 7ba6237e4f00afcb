/**
 * A rename or a link gives an object another path, and with it perhaps a laxer rule: `mv secrets/x public/x`. So it needs
 * its own access at the source, `create` at the target, and the target's rule must be at least as strict as the source's.
 */
import { type CallContext, Errno } from "@sluice/vfs";
import type { Core } from "../core.js";
import { GRANTED, governsAny, STRICTNESS } from "./authorize.js";
import type { Access, Gate, Intent, Ruling } from "./gate.js";

export interface Move {
  operation: "rename" | "link";
  /** The object as it is: its paths, attributes, layer. `operation` and `accesses` are set here. */
  source: Omit<Intent, "operation" | "accesses">;
  targetPath: string;
}

/** The ways of opening that a path's rule speaks about. */
const OPENINGS = ["read", "write", "execute"] as const;

/**
 * Does the policy in force say anything that a new path could get round? A rule about opening alone does: who may not read
 * `secrets/x` may not move it to where it can be read either.
 */
export function governsMove(gate: Gate, operation: Move["operation"]): boolean {
  return governsAny(gate, operation, "create", ...OPENINGS);
}

/** 0, or the errno of the refusal. */
export async function authorizeMove(core: Core, call: CallContext, move: Move): Promise<number> {
  const { operation, source } = move;
  const target = { ...source, paths: [move.targetPath], layer: "upper" };
  const ask = (at: Omit<Intent, "operation" | "accesses">, access: Access): Ruling | Promise<Ruling> =>
    core.gate.governs(access) ? core.gate.authorize(call, { ...at, operation, accesses: [access] }) : GRANTED;
  const [from, to, ...openings] = await Promise.all([
    ask(source, operation),
    ask(target, "create"),
    ...OPENINGS.map((access) => ask(source, access)),
    ...OPENINGS.map((access) => ask(target, access)),
  ]);
  if (from.effect === "deny") return from.errno;
  if (to.effect === "deny") return to.errno;
  const before = openings.slice(0, OPENINGS.length);
  const after = openings.slice(OPENINGS.length);
  return after.some((ruling, at) => isLaxer(ruling, before[at] as Ruling)) ? Errno.EACCES : 0;
}

function isLaxer(target: Ruling, source: Ruling): boolean {
  return STRICTNESS[target.effect] < STRICTNESS[source.effect];
}
