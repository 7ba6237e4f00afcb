/** The decision service, to be started in this process. */
export type { DecisionLogTarget } from "./audit/decision-log.js";
export type { LogEntry, LogSink } from "./audit/sinks/log-sink.js";
export { type DecisionService, type DecisionServiceOptions, type DecisionServiceStatus, startDecisionService } from "./decision-service.js";
export { rehearse } from "./engine/rehearse.js";
export { type ListenTarget, parseListenTarget } from "./grpc/listen-target.js";
export type { TlsFiles } from "./grpc/tls-files.js";
