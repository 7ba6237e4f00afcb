/** The mount's report about opens that its policy would no longer grant. */
import type { SluiceMount } from "@sluice/testkit";

export interface RevocableGrant {
  path: string;
  pid: number;
  mode: string;
  change: string;
  /** null: the policy in force rules as at the open. `passing` is null if the open is refused. */
  revoked: { effect: string; passing: string | null } | null;
}

export interface RevocableGrants {
  /** Revision of the policy in force. NaN if the server does not say. */
  sequence: number;
  /** Without mappings that outlived their descriptors. */
  grants: RevocableGrant[];
  /** The reason if the server did not answer. */
  unanswered?: string;
}

export async function revocableGrants(mount: SluiceMount): Promise<RevocableGrants> {
  try {
    const { policy } = (await mount.status()) as { policy: { revision: { sequence: string } } | null };
    const grants = (await mount.grants()) as RevocableGrant[];
    return { sequence: Number(policy?.revision.sequence), grants: grants.filter(({ change }) => change !== "mapped") };
  } catch (error) {
    // The server was killed before it answered: the next query reaches the next server.
    return { sequence: Number.NaN, grants: [], unanswered: String(error) };
  }
}

/** Counts as refused, and not as passing through. */
export function isRefused({ revoked, mode }: RevocableGrant): boolean {
  if (revoked === null) return false;
  return revoked.passing === undefined ? mode === "mediated" : revoked.passing === null;
}
