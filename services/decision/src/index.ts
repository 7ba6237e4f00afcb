/** The decision service: to be started in this process, or as commands of a command line. */
export type { DecisionLogTarget } from "./audit/decision-log.js";
export { addDecisionCommand } from "./cli/decision-command.js";
export { addPolicyCommands } from "./cli/policy-commands.js";
export { addProfileCommand } from "./cli/profile-command.js";
export { type DecisionService, type DecisionServiceOptions, type DecisionServiceStatus, startDecisionService } from "./decision-service.js";
export { type ListenTarget, parseListenTarget } from "./grpc/listen-target.js";
export type { TlsFiles } from "./grpc/tls-files.js";
