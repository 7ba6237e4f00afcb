/** Asking the gate before an operation that is not an open; costs a table look-up where the policy does not govern it. */
import type { CallContext, Status } from "@sluice/vfs";
import { Errno } from "@sluice/vfs";
import type { Core } from "../core.js";
import type { Access, Gate, Intent, Ruling } from "./gate.js";

/** The ruling where there is no policy. */
export const GRANTED: Ruling = Object.freeze({ effect: "grant", errno: 0 });

/** From lax to strict. */
export const STRICTNESS = { grant: 0, mediate: 1, deny: 2 } as const;

/** Runs `act` when the gate lets the intent through; at once where the gate answers at once. */
export function authorizeThen(core: Core, call: CallContext, intent: Intent, act: () => Status): Status {
  const ruling = core.gate.authorize(call, intent);
  if (!(ruling instanceof Promise)) return ruling.effect === "deny" ? ruling.errno : act();
  return ruling.then(
    (late) => (late.effect === "deny" ? late.errno : act()),
    () => Errno.EINTR,
  );
}

export function governsAny(gate: Gate, ...accesses: Access[]): boolean {
  return gate.active && accesses.some((access) => gate.governs(access));
}
