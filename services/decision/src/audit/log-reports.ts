/** The fate of the decision log's events, for log and metrics. */
import type { Refusals } from "../handlers/failure.js";
import type { LogReports } from "./decision-log.js";

export function logReports({ log, metrics }: Refusals): LogReports {
  return {
    finished: (sink, result, lines) => metrics.logEvents.inc({ sink, result }, lines),
    ruledOut: () => metrics.logEvents.inc({ sink: "-", result: "ruled-out" }),
    failing: (sink, error) => log.error({ sink, err: error }, "the decision log cannot be written: it is tried again"),
    warned: (warning) => log.warn(warning.message),
    working: (sink) => log.info({ sink }, "the decision log is written again"),
  };
}
