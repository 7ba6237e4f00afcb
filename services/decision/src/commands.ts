/** The commands of the decision service, for a command line. They load the service when they run. */
export { addDecisionCommand } from "./cli/decision-command.js";
export { addPolicyCommands } from "./cli/policy-commands.js";
export { addProfileCommand, type ProfileLive } from "./cli/profile-command.js";
