/** The listeners for events of engine, overlay and gate: libraries emit events, and this service logs and counts them. */
import type { OverlayEvents } from "@sluice/overlay";
import { type Logger, youngCollector } from "@sluice/runtime";
import { type EngineEvents, errnoName } from "@sluice/vfs";
import type { PolicyGateEvents } from "../enforcement/gate-events.js";
import { toText } from "@sluice/native";
import { kindOfDenial } from "../telemetry/activity-record.js";
import type { MountTelemetry } from "../telemetry/mount-telemetry.js";
import { OutageLines } from "../telemetry/outage-lines.js";

/** How many requests pass between two checks of the heap. */
const LOOKED_AFTER = 64;
/** The limit of lines of one kind in a minute: a client that sends malformed requests must not fill the disk with the log. */
const LINES_A_MINUTE = 60;
/** A path may have more than PATH_MAX: a caller goes down by relative names. */
const MAX_PATH_BYTES = 4_096;

function limited(
  log: (detail: Record<string, unknown>, message: string) => void,
): (detail: Record<string, unknown>, message: string) => void {
  let minute = 0;
  let lines = 0;
  return (detail, message) => {
    const now = Math.floor(Date.now() / 60_000);
    if (now !== minute) {
      minute = now;
      lines = 0;
    }
    lines++;
    if (lines < LINES_A_MINUTE) log(detail, message);
    else if (lines === LINES_A_MINUTE) log({}, "more of these are counted and not logged for the rest of this minute");
  };
}

export interface MountEvents {
  engine: EngineEvents;
  overlay: OverlayEvents;
  gate: PolicyGateEvents;
}

function outcome(result: number): Record<string, unknown> {
  return result < 0 ? { errno: errnoName(-result) } : { bytes: result };
}

export function mountEvents(telemetry: MountTelemetry, logger: Logger): MountEvents {
  const warn = limited((detail, message) => logger.warn(detail, message));
  const anomaly = (message: string, detail: Record<string, unknown>): void => {
    telemetry.anomalies++;
    warn({ ...detail, anomaly: true }, message);
  };
  // The policy asks for a complete audit, whatever else the log leaves out.
  const audit = logger.child({}, { level: "info" });
  const outages = new OutageLines(limited((detail, message) => logger.warn(detail, message)));
  const told = new Set<string>();
  const young = youngCollector();
  let requests = 0;
  return {
    engine: {
      anomaly,
      request: (operation, errno, durationUs) => {
        telemetry.request(operation, errno, durationUs);
        if (++requests % LOOKED_AFTER === 0) young.look();
      },
    },
    overlay: {
      anomaly,
      copyUp: (event) => {
        telemetry.copyUp(event.bytes, event.durationMs);
        if (event.status !== 0) warn({ path: toText(event.path), errno: errnoName(event.status) }, "a copy-up failed");
      },
      fallback: (event) => {
        telemetry.fallbacks.add(event.reason);
        // The reason lies in the layer, so every open of it would log the same.
        const what = `${event.layer} ${event.reason}`;
        if (told.has(what)) return;
        told.add(what);
        logger.info({ ...event }, "a granted open is mediated: further ones are counted and not logged");
      },
      mediated: (direction, bytes) => telemetry.mediatedBytes.add(direction, bytes),
      openFiles: (mode, delta) => telemetry.openFiles.add(mode, delta),
      grew: () => young.look(),
    },
    gate: {
      anomaly,
      recalled: (decision, call, intent) => {
        telemetry.recalled(decision);
        telemetry.tally.recalled(decision, call.asker ?? call, intent);
        const denial = kindOfDenial(decision);
        if (denial !== undefined) telemetry.record?.add(denial, (call.asker ?? call).pid, intent.paths[0] ?? "");
      },
      // All of them, without a limit.
      audited: ({ path, offset, result, ...io }) =>
        audit.info({ audit: true, path: toText(path), offset: Number(offset), ...outcome(result), ...io }, "transfer"),
      decided: (decision, question, durationMs) => {
        telemetry.decided(decision, durationMs);
        telemetry.tally.decided(decision, question);
        outages.decided(decision, () => toText((question.resource.paths[0] ?? "").slice(0, MAX_PATH_BYTES)));
        const { subject, resource } = question;
        const denial = kindOfDenial(decision);
        if (denial !== undefined) telemetry.record?.add(denial, subject.pid, resource.paths[0] ?? "");
        if (!logger.isLevelEnabled("debug")) return;
        const { effect, decisionId, rule, reason } = decision;
        logger.debug({ question: question.id, paths: question.resource.paths.map(toText), effect, decisionId, rule, reason }, "decided");
      },
    },
  };
}
