/** What a mount says of opens that its policy would not give any more. */
import type { SluiceMount } from "@sluice/testkit";

export interface RevocableGrant {
  path: string;
  pid: number;
  mode: string;
  change: string;
  /** null: the policy in force says the same as when it was opened. `passing` is null if it is refused. */
  revoked: { effect: string; passing: string | null } | null;
}

/** The opens in force, without the mappings that outlived theirs. */
export async function revocableGrants(mount: SluiceMount): Promise<RevocableGrant[]> {
  return ((await mount.grants()) as RevocableGrant[]).filter(({ change }) => change !== "mapped");
}

/** Counted as refused, and not as passing through. */
export function isRefused({ revoked, mode }: RevocableGrant): boolean {
  if (revoked === null) return false;
  return revoked.passing === undefined ? mode === "mediated" : revoked.passing === null;
}

/** Of the policy in force. */
export async function sequenceInForce(mount: SluiceMount): Promise<number> {
  const { policy } = (await mount.status()) as { policy: { revision: { sequence: string } } | null };
  return Number(policy?.revision.sequence);
}
