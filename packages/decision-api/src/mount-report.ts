/** A mount's report about itself for a service's console, between domain and wire. Nothing is decided by it. */
import { type Effect, DecisionError, type ReplicaStatus } from "./domain.js";
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

/** The requests of one operation since the start of the server. */
export interface OperationReport {
  /** As FUSE names it: "OPEN". */
  operation: string;
  count: number;
  errors: number;
  /** The sum of all times from arrival to reply, waits for decisions included. */
  tookUs: number;
  /** The longest of the last seconds; undefined unless the server measures itself. */
  worstUs: number | undefined;
}

/** The last seconds of the server. */
export interface ServerReport {
  /** Shares of the time, from 0 to 1. */
  busy: number;
  collecting: number;
  pauseMs: number;
  /** Undefined if the kernel does not tell. */
  queued: number | undefined;
}

/** A report without the part that the connection to the services knows. */
export type MountDescription = Omit<MountReport, "replicas" | "replicaCount" | "toldTo">;

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
  /** Of the server. The counts below begin with it; 0 from a mount of an older version, which has no counts. */
  uptimeMs: number;
  operations: readonly OperationReport[];
  /** Allowed opens by how their bytes flow. */
  opens: Readonly<Record<string, number>>;
  /** Bytes that the server moved for callers. */
  readBytes: number;
  writtenBytes: number;
  /** Undefined unless the server measures itself. */
  server: ServerReport | undefined;
  /** At most `REPORT_LIMITS.replicas` of `replicaCount`. */
  replicas: readonly ReplicaStatus[];
  replicaCount: number;
  /** The address of the replica that gets this report. */
  toldTo: string;
}

const cut = (text: string): string => (text.length <= REPORT_LIMITS.textLength ? text : `${text.slice(0, REPORT_LIMITS.textLength - 1)}…`);
const count = (value: number): bigint => BigInt(Math.trunc(value));
const isCount = (value: bigint): boolean => value <= BigInt(Number.MAX_SAFE_INTEGER);
const fewModes = <Count>(byMode: Readonly<Record<string, Count>>): [mode: string, count: Count][] =>
  Object.entries(byMode).slice(0, REPORT_LIMITS.modes);

function layerToProto({ name, path, fileSystem, reason, ...layer }: LayerReport): wire.LayerReport {
  return { ...layer, name: cut(name), path: cut(path), fileSystem: cut(fileSystem), reason: cut(reason) };
}

function grantToProto({ path, rule, sinceMs, now, ...grant }: GrantReport): wire.GrantReport {
  const bytes = Buffer.from(path.slice(0, REPORT_LIMITS.textLength), "latin1");
  return { ...grant, path: bytes, rule: cut(rule), sinceMs: count(sinceMs), now: WIRE_EFFECT[now] };
}

function operationToProto({ operation, worstUs, ...each }: OperationReport): wire.OperationReport {
  return {
    operation: cut(operation),
    count: count(each.count),
    errors: count(each.errors),
    tookUs: count(each.tookUs),
    worstUs: worstUs === undefined ? undefined : count(worstUs),
  };
}

/** Cut to the limits. */
export function mountReportToProto(report: MountReport): wire.MountReport {
  const { layers, grants, operations, replicas, openFiles, opens, uptimeMs, readBytes, writtenBytes, ...rest } = report;
  return {
    ...rest,
    mountpoint: cut(rest.mountpoint),
    engine: cut(rest.engine),
    protocol: cut(rest.protocol),
    transport: cut(rest.transport),
    layers: layers.slice(0, REPORT_LIMITS.layers).map(layerToProto),
    grants: grants.slice(0, REPORT_LIMITS.grants).map(grantToProto),
    openFiles: Object.fromEntries(fewModes(openFiles)),
    uptimeMs: count(uptimeMs),
    operations: operations.slice(0, REPORT_LIMITS.operations).map(operationToProto),
    opens: Object.fromEntries(fewModes(opens).map(([mode, opened]) => [mode, count(opened)])),
    readBytes: count(readBytes),
    writtenBytes: count(writtenBytes),
    replicas: replicas
      .slice(0, REPORT_LIMITS.replicas)
      .map(({ address, state, revision }) => ({ address: cut(address), state: cut(state), revision })),
    toldTo: cut(rest.toldTo),
  };
}

function bounded(texts: readonly string[]): boolean {
  return texts.every((text) => text.length <= REPORT_LIMITS.textLength);
}

/** The parts that an older version has, too. */
function placesWithinLimits({ layers, grants, openFiles, ...rest }: wire.MountReport): boolean {
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

function workWithinLimits({ operations, opens, replicas, server, toldTo, ...rest }: wire.MountReport): boolean {
  const counts = [rest.uptimeMs, rest.readBytes, rest.writtenBytes, ...Object.values(opens)];
  return (
    operations.length <= REPORT_LIMITS.operations &&
    replicas.length <= REPORT_LIMITS.replicas &&
    Object.keys(opens).length <= REPORT_LIMITS.modes &&
    bounded([toldTo, ...Object.keys(opens), ...operations.map(({ operation }) => operation)]) &&
    bounded(replicas.flatMap(({ address, state, revision }) => [address, state, revision?.digest ?? ""])) &&
    [...counts, ...operations.flatMap((each) => [each.count, each.errors, each.tookUs, each.worstUs ?? 0n])].every(isCount) &&
    (server === undefined || [server.busy, server.collecting, server.pauseMs].every(Number.isFinite))
  );
}

function operationFromProto({ operation, worstUs, ...each }: wire.OperationReport): OperationReport {
  return {
    operation,
    count: Number(each.count),
    errors: Number(each.errors),
    tookUs: Number(each.tookUs),
    worstUs: worstUs === undefined ? undefined : Number(worstUs),
  };
}

/** Throws `DecisionError` "malformed" if it exceeds the limits. */
export function mountReportFromProto(report: wire.MountReport): MountReport {
  if (!placesWithinLimits(report) || !workWithinLimits(report))
    throw new DecisionError("malformed", "report of a mount is larger than the contract allows");
  const { layers, grants, operations, opens, server, replicas, ...rest } = report;
  return {
    ...rest,
    layers: layers.map(({ stackDepth, ...layer }) => ({ ...layer, stackDepth })),
    grants: grants.map(({ path, sinceMs, now, ...grant }) => {
      return { ...grant, path: path.toString("latin1"), sinceMs: Number(sinceMs), now: EFFECT_OF.get(now) ?? "deny" };
    }),
    uptimeMs: Number(rest.uptimeMs),
    operations: operations.map(operationFromProto),
    opens: Object.fromEntries(Object.entries(opens).map(([mode, opened]) => [mode, Number(opened)])),
    readBytes: Number(rest.readBytes),
    writtenBytes: Number(rest.writtenBytes),
    server: server && { ...server, queued: server.queued },
    replicas: replicas.map(({ address, state, revision }) => ({ address, state, revision })),
  };
}
