/** The report of a mount to the consoles of its decision services: its engine and layers, and its newest open files. */
import { type GrantReport, type LayerReport, type MountReport, REPORT_LIMITS } from "@sluice/decision-api";
import type { LayerStatus } from "@sluice/overlay";
import type { GrantRecord } from "../enforcement/grants.js";
import { toText } from "@sluice/native";
import type { MountParts } from "./mount-status.js";

/** While a layer is not eligible the report checks the layers again, but rarely: a remote file system answers slowly. */
const LOOK_AGAIN_MS = 60_000;

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

/** @returns a function that describes the mount from now on */
export function mountReporter({ config, kind, engine, overlay, grants, telemetry }: MountParts): () => MountReport {
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
  return () => {
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
    };
  };
}
