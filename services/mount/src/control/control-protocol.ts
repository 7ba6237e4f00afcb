/**
 * What goes over a control socket: one JSON request on a line, then JSON lines back: items, and at last `done` or
 * `error`. Sizes are bounded on both sides.
 */
import type { CacheStatus, DeciderStatus } from "@sluice/decision-api";
import type { Revoked } from "../enforcement/grants.js";
import type { OnRevoke } from "../enforcement/revocation.js";
import type { OverlayStatus } from "@sluice/overlay";
import type { EngineKind } from "@sluice/vfs";

export type ControlRequest = { method: "status" } | { method: "grants"; watch: boolean } | { method: "unmount" };
export type ControlLine = { item: unknown } | { done: true } | { error: string };

export const MAX_REQUEST_BYTES = 4096;
/** Of one line of an answer. */
export const MAX_LINE_BYTES = 4 << 20;

export interface GrantItem {
  /** "mapped": a mapping whose descriptor is closed. "revoked", "restored": by a change of policy, while it is open. */
  change: "open" | "opened" | "closed" | "mapped" | "revoked" | "restored";
  handle: number;
  nodeId: number;
  path: string;
  layer: string;
  mode: string;
  /** As the kernel was told: passthrough, passthrough-direct (mediated, but mappings pass the daemon by), cached, direct. */
  io: string;
  write: boolean;
  fallback: string | null;
  pid: number;
  uid: number;
  decision: string | null;
  revision: string | null;
  rule: string | null;
  /** ISO 8601. */
  since: string | null;
  /** What the policy in force would say; null where it says the same. */
  revoked: Revoked | null;
}

export interface PolicyStatus {
  policyId: string;
  revision: { sequence: string; digest: string };
  unconditionalGrant: boolean;
  governs: string[];
  looksAt: string[];
  /** What is wrong with the newest edit of the policy; the revision above stays in force. */
  refusedEdit: string | null;
}

export interface RevisionText {
  sequence: string;
  digest: string;
}

export interface MountStatus {
  name: string;
  mountpoint: string;
  version: string;
  pid: number;
  /** Null where the server holds the mount itself. `restarts`: servers before this one that died. */
  keeper: { pid: number; restarts: number; lastDeath: string | null } | null;
  uptimeMs: number;
  state: "serving" | "draining";
  engine: {
    name: EngineKind["name"];
    /** What it cannot give, with the reason. */
    limits: Record<string, string>;
    protocol: string;
    passthrough: boolean;
    maxStackDepth: number;
    flags: readonly string[];
    inFlight: number;
  };
  overlay: OverlayStatus;
  upper: string | null;
  lowers: readonly string[];
  userXattr: boolean;
  decider: Omit<DeciderStatus, "revision" | "split" | "cache"> & {
    revision: RevisionText | null;
    /** Policies that decision services hold at once without an order; empty where they agree. */
    split: RevisionText[];
    cache: CacheStatus | null;
    onOutage: string;
  };
  policy: PolicyStatus | null;
  /** By "effect/source". */
  decisions: Record<string, number>;
  fallbacks: Record<string, number>;
  openFilesByMode: Record<string, number>;
  mediatedBytes: Record<string, number>;
  grants: number;
  /** Opens that the policy in force would not give any more: passed through, which cannot be taken back, and mediated, which are refused. */
  revocation: { onRevoke: OnRevoke; holdersUnseen: string | null; passthrough: number; mediated: number; signalled: number };
  copyUps: { count: number; bytes: number };
  anomalies: number;
}

/** Undefined where it is no request that this build knows. */
export function parseRequest(line: string): ControlRequest | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { method, watch } = value as { method?: unknown; watch?: unknown };
  switch (method) {
    case "status":
    case "unmount":
      return { method };
    case "grants":
      return { method, watch: watch === true };
    default:
      return undefined;
  }
}
