/** The status of a mount, for `sluice status`. */
import type { Decider, PolicyRevision } from "@sluice/decision-api";
import type { KeeperInfo } from "@sluice/keeper-link";
import type { Overlay } from "@sluice/overlay";
import { VERSION } from "@sluice/runtime";
import type { Engine, EngineKind } from "@sluice/vfs";
import type { MountConfig } from "../config/mount-config.js";
import type { GrantItem, MountStatus, PolicyStatus } from "@sluice/mount-control";
import type { GrantRecord, Grants } from "../enforcement/grants.js";
import { type Holder, holdersUnseen } from "../enforcement/revocation/holders.js";
import type { PolicyGate } from "../enforcement/policy-gate.js";
import type { Revocation } from "../enforcement/revocation/revocation.js";
import { toText } from "@sluice/native";
import type { MountTelemetry } from "../telemetry/mount-telemetry.js";
import type { ServerWatch } from "../telemetry/server-watch.js";
import { limitsOf } from "../setup/choose-engine.js";
import type { OpenNext } from "../setup/next-upper.js";
import type { LayerHold } from "../shutdown/layer-hold.js";

export interface MountParts {
  config: MountConfig;
  kind: EngineKind;
  engine: Engine;
  overlay: Overlay;
  openNext: OpenNext | undefined;
  decider: Decider;
  /** Why processes of an unprivileged user may signal the embedded decision service. */
  unprotected: string | undefined;
  gate: PolicyGate;
  grants: Grants;
  revocation: Revocation;
  keeper: KeeperInfo | undefined;
  hold: LayerHold;
  /** Of the mount, "major:minor". */
  device: string;
  telemetry: MountTelemetry;
  watch: ServerWatch;
}

function policyStatus(decider: Decider): PolicyStatus | null {
  const capabilities = decider.capabilities();
  if (capabilities === undefined) return null;
  const looksAt = capabilities.xattrs.map((name) => `xattr ${name}`);
  if (capabilities.needsGroups) looksAt.push("groups");
  if (capabilities.needsExecutable) looksAt.push("executable");
  if (capabilities.needsCgroup) looksAt.push("cgroup");
  if (capabilities.headBytes > 0) looksAt.push(`head (${capabilities.headBytes} bytes)`);
  if (capabilities.needsDigest) looksAt.push("digest");
  return {
    policyId: capabilities.policyId,
    revision: revisionText(capabilities.revision),
    unconditionalGrant: capabilities.unconditionalGrant,
    governs: [...capabilities.accesses],
    hides: [...(capabilities.hiddenNames ?? [])],
    asks: capabilities.asks === true,
    looksAt,
    refusedEdit: capabilities.refusedEdit ?? null,
    summary: capabilities.summary ?? null,
  };
}

function engineStatus({ kind, engine }: MountParts): MountStatus["engine"] {
  const { protocol, maxStackDepth, flags } = engine.port.negotiated;
  return {
    name: kind.name,
    limits: limitsOf(kind),
    protocol: `${protocol.major}.${protocol.minor}`,
    passthrough: maxStackDepth > 0,
    maxStackDepth,
    flags,
    transport: engine.transport,
    idlePolling: engine.idlePolling,
    inFlight: engine.inFlight(),
  };
}

function revisionText({ sequence, digest }: PolicyRevision): { sequence: string; digest: string } {
  return { sequence: String(sequence), digest };
}

function overlayStatus({ overlay }: MountParts): MountStatus["overlay"] {
  const status = overlay.status();
  return { ...status, copyUpsUnderWay: status.copyUpsUnderWay.map((job) => ({ ...job, path: toText(job.path) })) };
}

function keeperStatus({ keeper, telemetry }: MountParts): MountStatus["keeper"] {
  if (keeper === undefined) return null;
  const { keeperPid: pid, restarts, lastDeath = null } = keeper;
  return { pid, restarts, lastDeath, restoredInMs: telemetry.restoredInMs ?? null };
}

export function mountStatus(parts: MountParts, draining: boolean): MountStatus {
  const { config, telemetry, decider } = parts;
  const deciderStatus = decider.status();
  const { revision } = deciderStatus;
  return {
    name: config.name,
    mountpoint: config.mountpoint,
    version: VERSION,
    pid: process.pid,
    keeper: keeperStatus(parts),
    uptimeMs: Date.now() - telemetry.startedMs,
    state: draining ? "draining" : "serving",
    engine: engineStatus(parts),
    overlay: overlayStatus(parts),
    upper: config.upper ?? null,
    lowers: parts.overlay.lowerPaths(),
    userXattr: config.userXattr,
    decider: {
      target: deciderStatus.target,
      state: deciderStatus.state,
      replicas: deciderStatus.replicas.map((replica) => ({
        ...replica,
        revision: replica.revision ? revisionText(replica.revision) : null,
      })),
      unresolved: deciderStatus.unresolved ?? [],
      policyId: deciderStatus.policyId,
      split: (deciderStatus.split ?? []).map(revisionText),
      cache: deciderStatus.cache ?? null,
      revision: revision === undefined ? null : revisionText(revision),
      onOutage: config.onOutage,
      unprotected: parts.unprotected ?? null,
    },
    policy: policyStatus(decider),
    decisions: telemetry.allDecisions(),
    denialsLastMinute: telemetry.denials.count(Date.now()),
    fallbacks: telemetry.fallbacks.toObject(),
    openFilesByMode: telemetry.openFiles.toObject(),
    mediatedBytes: telemetry.mediatedBytes.toObject(),
    grants: parts.grants.size,
    asks: { waiting: parts.gate.people.waiting, most: parts.gate.people.most, crowdedOut: parts.gate.people.crowdedOut },
    revocation: {
      onRevoke: config.onRevoke,
      holdersUnseen: holdersUnseen() ?? null,
      ...parts.revocation.counts(),
      signalled: parts.revocation.signalled,
    },
    copyUps: { count: telemetry.copyUps, bytes: telemetry.copyUpBytes },
    anomalies: telemetry.anomalies,
  };
}

export function grantItem(change: GrantItem["change"], grant: GrantRecord, { overlay }: Pick<MountParts, "overlay">): GrantItem {
  return {
    change,
    handle: grant.handle,
    nodeId: grant.nodeId,
    path: toText(grant.path),
    layer: grant.layer,
    mode: grant.mode,
    io: grant.io,
    write: grant.write,
    fallback: grant.fallback ?? null,
    pid: grant.pid,
    uid: grant.uid,
    decision: grant.decisionId ?? null,
    revision: grant.revision ?? null,
    rule: grant.rule ?? null,
    since: new Date(grant.sinceMs).toISOString(),
    revoked: grant.revoked === undefined ? null : { ...grant.revoked, passing: overlay.passing(grant.handle) ?? null },
  };
}

/** A mapping that outlives its descriptor. Its open is over, so its decision is no longer known. */
export function mappingItem({ pid, uid, path, writes }: Holder, mountpoint: string): GrantItem {
  const below = path?.startsWith(`${mountpoint}/`) ? path.slice(mountpoint.length + 1) : (path ?? "");
  return {
    change: "mapped",
    handle: 0,
    nodeId: 0,
    path: toText(below),
    layer: "-",
    mode: "mapping",
    io: "mapping",
    write: writes,
    fallback: null,
    pid,
    uid,
    decision: null,
    revision: null,
    rule: null,
    since: null,
    revoked: null,
  };
}
