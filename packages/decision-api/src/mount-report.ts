/** A mount's report about itself for a service's console, between domain and wire. Nothing is decided by it. */
import { type Effect, DecisionError } from "./domain.js";
import * as wire from "./gen/sluice/decision/v1/decision.js";
import { REPORT_LIMITS } from "./limits.js";
import { EFFECT_OF, LAST_DATE_MS, WIRE_EFFECT } from "./wire-names.js";

export interface LayerReport {
  name: string;
  /** At the mount service's host. */
  path: string;
  fileSystem: string;
  /** Undefined if unknown. */
  stackDepth: number | undefined;
  passthrough: boolean;
  /** Why it is not eligible; empty if it is. */
  reason: string;
}

export interface GrantReport {
  /** Below the mount, as a byte string. */
  path: string;
  layer: string;
  /** "passthrough" or "mediated". */
  flow: string;
  write: boolean;
  uid: number;
  pid: number;
  /** Empty if there was no policy. */
  rule: string;
  decisionId: string;
  /** Milliseconds since 1970. */
  sinceMs: number;
  /** The answer of the policy in force. */
  now: Effect;
}

export interface MountReport {
  mountpoint: string;
  engine: string;
  /** Of FUSE, as MAJOR.MINOR. */
  protocol: string;
  transport: string;
  passthrough: boolean;
  /** The topmost first; at most `REPORT_LIMITS.layers` of `layerCount`. */
  layers: readonly LayerReport[];
  layerCount: number;
  /** The newest first; at most `REPORT_LIMITS.grants` of `grantCount`. */
  grants: readonly GrantReport[];
  grantCount: number;
  /** By how their bytes flow. */
  openFiles: Readonly<Record<string, number>>;
}

const cut = (text: string): string => (text.length <= REPORT_LIMITS.textLength ? text : `${text.slice(0, REPORT_LIMITS.textLength - 1)}…`);

/** Cut to the limits. */
export function mountReportToProto(report: MountReport): wire.MountReport {
  return {
    mountpoint: cut(report.mountpoint),
    engine: cut(report.engine),
    protocol: cut(report.protocol),
    transport: cut(report.transport),
    passthrough: report.passthrough,
    layers: report.layers.slice(0, REPORT_LIMITS.layers).map(({ name, path, fileSystem, reason, ...layer }) => {
      return { ...layer, name: cut(name), path: cut(path), fileSystem: cut(fileSystem), reason: cut(reason) };
    }),
    layerCount: report.layerCount,
    grants: report.grants.slice(0, REPORT_LIMITS.grants).map(({ path, rule, sinceMs, now, ...grant }) => {
      const bytes = Buffer.from(path.slice(0, REPORT_LIMITS.textLength), "latin1");
      return { ...grant, path: bytes, rule: cut(rule), sinceMs: BigInt(Math.trunc(sinceMs)), now: WIRE_EFFECT[now] };
    }),
    grantCount: report.grantCount,
    openFiles: Object.fromEntries(Object.entries(report.openFiles).slice(0, REPORT_LIMITS.modes)),
  };
}

function bounded(texts: readonly string[]): boolean {
  return texts.every((text) => text.length <= REPORT_LIMITS.textLength);
}

function withinLimits({ layers, grants, openFiles, ...rest }: wire.MountReport): boolean {
  return (
    layers.length <= REPORT_LIMITS.layers &&
    grants.length <= REPORT_LIMITS.grants &&
    Object.keys(openFiles).length <= REPORT_LIMITS.modes &&
    bounded([rest.mountpoint, rest.engine, rest.protocol, rest.transport, ...Object.keys(openFiles)]) &&
    layers.every(({ name, path, fileSystem, reason }) => bounded([name, path, fileSystem, reason])) &&
    grants.every(({ sinceMs }) => sinceMs <= LAST_DATE_MS) &&
    grants.every(
      ({ path, layer, flow, rule, decisionId }) => path.length <= REPORT_LIMITS.textLength && bounded([layer, flow, rule, decisionId]),
    )
  );
}

/** Throws `DecisionError` "malformed" if it exceeds the limits. */
export function mountReportFromProto(report: wire.MountReport): MountReport {
  if (!withinLimits(report)) throw new DecisionError("malformed", "report of a mount is larger than the contract allows");
  const { layers, grants, ...rest } = report;
  return {
    ...rest,
    layers: layers.map(({ stackDepth, ...layer }) => ({ ...layer, stackDepth })),
    grants: grants.map(({ path, sinceMs, now, ...grant }) => {
      return { ...grant, path: path.toString("latin1"), sinceMs: Number(sinceMs), now: EFFECT_OF.get(now) ?? "deny" };
    }),
  };
}
