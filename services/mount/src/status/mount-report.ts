/** The report of a mount to the consoles of its decision services: its engine and layers, its newest open files, and the work of its server. */
import { type GrantReport, type LayerReport, type MountDescription, REPORT_LIMITS, type ServerReport } from "@sluice/decision-api";
import type { LayerStatus } from "@sluice/overlay";
import { type ServerInterval, takenTogether } from "@sluice/mount-control";
import type { GrantRecord } from "../enforcement/grants.js";
import { toText } from "@sluice/native";
import type { MountContext } from "../serve/mount-context.js";
import type { MountParts } from "./mount-status.js";

/** While a layer is not eligible the report checks the layers again, but rarely: a remote file system answers slowly. */
const LOOK_AGAIN_MS = 60_000;
/** The pauses and the longest requests are those of so many seconds: a person has to see them. */
const SECONDS = 10;

function layerReport({ name, path, fileSystem, stackDepth, passthrough }: LayerStatus): LayerReport {
  return {
    name,
    path: toText(path),
    fileSystem,
    stackDepth,
    passthrough: passthrough.eligible,
    reason: passthrough.eligible ? "" : passthrough.reason,
  };
}

function grantReport(grant: GrantRecord): GrantReport {
  const { path, layer, mode: flow, write, uid, pid, sinceMs, revoked } = grant;
  const decidedBy = { rule: grant.rule ?? "", decisionId: grant.decisionId ?? "" };
  return { path, layer, flow, write, uid, pid, sinceMs, ...decidedBy, now: revoked?.effect ?? "grant" };
}

function serverReport({ busy, collecting, pauseMs, queued }: ServerInterval): ServerReport {
  return { busy, collecting, pauseMs, queued: queued ?? undefined };
}

type Work = Pick<MountDescription, "uptimeMs" | "operations" | "opens" | "readBytes" | "writtenBytes" | "server">;

/** The server measures its pauses and longest requests only while somebody looks, since that wakes an idle process. */
function workReport({ telemetry, watch }: MountParts, lookedAt: boolean): Work {
  const measured = takenTogether((lookedAt ? watch.look() : watch.recent()).slice(-SECONDS));
  const operations = Object.entries(telemetry.requests()).map(([operation, { errors, durations }]) => {
    const worstMs = measured?.worstMs[operation];
    const worstUs = worstMs === undefined ? undefined : worstMs * 1000;
    return { operation, count: durations.count, errors, tookUs: durations.sumMs * 1000, worstUs };
  });
  const bytes = telemetry.mediatedBytes.toObject();
  return {
    uptimeMs: Date.now() - telemetry.startedMs,
    operations,
    opens: { ...telemetry.activity.opens },
    readBytes: bytes["read"] ?? 0,
    writtenBytes: bytes["write"] ?? 0,
    server: measured && serverReport(measured),
  };
}

/** @returns a function that describes the mount from now on */
export function mountReporter(parts: MountParts): NonNullable<MountContext["describeMount"]> {
  const { config, kind, engine, overlay, grants, telemetry } = parts;
  let layers: LayerReport[] = [];
  let lookedMs = Number.NEGATIVE_INFINITY;
  const layersNow = (): LayerReport[] => {
    const allEligible = layers.length > 0 && layers.every(({ passthrough }) => passthrough);
    if (allEligible || performance.now() - lookedMs < LOOK_AGAIN_MS) return layers;
    layers = overlay.status().layers.map(layerReport);
    lookedMs = performance.now();
    return layers;
  };
  const newestGrants = (): GrantReport[] => {
    const newest: GrantRecord[] = [];
    let older = grants.size - REPORT_LIMITS.grants;
    for (const grant of grants.all()) if (--older < 0) newest.push(grant);
    return newest.reverse().map(grantReport);
  };
  return (lookedAt) => {
    const { protocol, maxStackDepth } = engine.port.negotiated;
    const all = layersNow();
    return {
      mountpoint: toText(config.mountpoint),
      engine: kind.name,
      protocol: `${protocol.major}.${protocol.minor}`,
      transport: engine.transport.name,
      passthrough: maxStackDepth > 0,
      layers: all,
      layerCount: all.length,
      grants: newestGrants(),
      grantCount: grants.size,
      openFiles: telemetry.openFiles.toObject(),
      ...workReport(parts, lookedAt),
    };
  };
}
