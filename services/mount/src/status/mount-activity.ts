/** The report for `sluice top`, gathered from all counters. */
import type { ActivityReport } from "@sluice/mount-control";
import { toText } from "@sluice/native";
import type { MountParts } from "./mount-status.js";

export function mountActivity(parts: MountParts, draining: boolean): ActivityReport {
  const { config, engine, kind, telemetry, overlay, revocation } = parts;
  telemetry.tally.flush();
  const revoked = revocation.counts();
  return {
    mountpoint: config.mountpoint,
    atMs: Date.now(),
    uptimeMs: Date.now() - telemetry.startedMs,
    engine: kind.name,
    passthrough: engine.port.negotiated.maxStackDepth > 0,
    state: draining ? "draining" : "serving",
    inFlight: engine.inFlight(),
    seconds: parts.watch.look(),
    requests: telemetry.requests(),
    opens: { ...telemetry.activity.opens },
    openNow: telemetry.openFiles.toObject(),
    decisions: telemetry.allDecisions(),
    decisionDurations: telemetry.decisionDurations(),
    rules: telemetry.activity.rules(),
    paths: telemetry.activity.paths.top().map(({ key, count, atMostOver }) => ({ path: toText(key), count, atMostOver })),
    denied: telemetry.tally.denied().map(({ path, program, ...denied }) => ({ ...denied, path: toText(path), program: toText(program) })),
    deniedUnnamed: telemetry.tally.deniedUnnamed,
    mediatedBytes: telemetry.mediatedBytes.toObject(),
    copyUps: { count: telemetry.copyUps, bytes: telemetry.copyUpBytes, underWay: copyUpsOf(overlay.status()) },
    grants: parts.grants.size,
    revoked: revoked.passing + revoked.refused,
  };
}

function copyUpsOf({ copyUpsUnderWay }: ReturnType<MountParts["overlay"]["status"]>): ActivityReport["copyUps"]["underWay"] {
  return copyUpsUnderWay.map((job) => ({ ...job, path: toText(job.path) }));
}
