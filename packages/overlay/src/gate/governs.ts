/** Does the policy in force say anything about an access? A table look-up: an operation that it does not govern asks nothing. */
import type { Access, Gate, Ruling } from "../contract/gate.js";

/** The ruling if there is no policy. */
export const GRANTED: Ruling = Object.freeze({ effect: "grant", errno: 0 });

export function governsAny(gate: Gate, ...accesses: Access[]): boolean {
  return gate.active && accesses.some((access) => gate.governs(access));
}

/**
 * Does the policy in force say anything that a new path could get round? A rule about opening does: a caller that may not read
 * `secrets/x` may not move it to a readable path either.
 */
export function governsMove(gate: Gate): boolean {
  return gate.active && (OPENINGS.some((access) => gate.governs(access)) || MOVES.some((access) => gate.governs(access)));
}

const OPENINGS: readonly Access[] = ["read", "write", "execute"];
const MOVES: readonly Access[] = ["rename", "link", "create", "delete", "truncate", "metadata"];
