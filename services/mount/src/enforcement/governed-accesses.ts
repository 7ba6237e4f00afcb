/** Which accesses beside opens must be asked about: a table made anew at each change of policy, so that a look costs nothing. */
import { type Access, ALL_ACCESSES, type PolicyCapabilities } from "@sluice/decision-api";

export type GovernedAccesses = Readonly<Record<Access, boolean>>;

/** With no word from the decision service yet, everything is governed: what the outage mode says then holds for all of it. */
export function governedAccesses(capabilities: PolicyCapabilities | undefined): GovernedAccesses {
  const governed = (access: Access): boolean =>
    capabilities === undefined || (!capabilities.unconditionalGrant && capabilities.accesses.has(access));
  return Object.fromEntries(ALL_ACCESSES.map((access) => [access, governed(access)])) as Record<Access, boolean>;
}
