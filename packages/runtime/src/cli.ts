/** The part of this package that a command needs before it loads a service, without logger and metrics. */
export {
  CliError,
  codeOf,
  ENDING,
  type EndingSignal,
  EXIT,
  type ExitCode,
  errorLine,
  failed,
  forPerson,
  lacking,
  type SignalExit,
  unfit,
  wrong,
} from "./cli-error.js";
export { counted } from "./output/counted.js";
export { escapeBytes, escapeLine, escapeName, escapeTextName, shellWord } from "./escape-name.js";
export { fillText } from "./output/fill-text.js";
export { inInitialNamespace, uidOutside } from "./user-namespace.js";
export { makeDirectories } from "./files/make-directories.js";
export { LOG_LEVELS, type LogLevel } from "./log-levels.js";
export { refuseDebugger } from "./refuse-debugger.js";
export { removeDeadSocket } from "./remove-dead-socket.js";
export { runCli } from "./run-cli.js";
export { table } from "./table.js";
export { unmountForUser } from "./files/unmount-for-user.js";
export { VERSION } from "./version.js";
export { watchOutput } from "./output/watch-output.js";
