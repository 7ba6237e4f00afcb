/** The surroundings of a service: logger, metrics, admin port, exit codes. Only services import it. */
export { type AdminOptions, type AdminServer, parseHostPort, startAdminServer } from "./admin-server.js";
export { CliError, type Complaint, EXIT, type ExitCode, errorLine } from "./cli-error.js";
export { counted } from "./output/counted.js";
export { escapeLine, escapeName, escapeTextName, shellWord } from "./escape-name.js";
export { type HotKey, HotList } from "./hot-list.js";
export { collectAloneLater, collectGarbage, youngCollector } from "./keep-pauses-short.js";
export { LOG_LEVELS, type LogLevel } from "./log-levels.js";
export {
  createLogger,
  type LogDestination,
  logDestination,
  type Logger,
  type LoggerConfig,
  type OpenedLog,
  openLog,
  silentLogger,
} from "./logger.js";
export { type CommandLike, runCli } from "./run-cli.js";
export {
  asTraceparent,
  type Span,
  startTracing,
  type Tracing,
  type TracingArguments,
  type TracingOptions,
  tracingOptions,
} from "./tracing/tracing.js";
export { inInitialNamespace } from "./user-namespace.js";
export { VERSION } from "./version.js";
