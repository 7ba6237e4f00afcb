/** The decision service by itself, as its container runs it: the commands of `sluice` that need no mount. */
import { runCli, VERSION } from "@sluice/runtime";
import { Command } from "commander";
import { addDecisionCommand } from "./cli/decision-command.js";
import { addPolicyCommands } from "./cli/policy-commands.js";
import { addProfileCommand } from "./cli/profile-command.js";

const program = new Command("sluice").description("the decision service of Sluice").version(VERSION);
addDecisionCommand(program);
addPolicyCommands(program);
addProfileCommand(program);
process.exitCode = await runCli(program);
