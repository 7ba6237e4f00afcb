/** The decision service by itself, as its container runs it: the commands of `sluice` that need no mount. */
import { runCli, VERSION, watchOutput } from "@sluice/runtime/cli";
import { Command } from "commander";
import { addDecisionCommand, addPolicyCommands, addProfileCommand } from "./commands.js";

const program = new Command("sluice-decision").description("the decision service of Sluice").version(VERSION);
addDecisionCommand(program);
addPolicyCommands(program);
addProfileCommand(program);
// `decision` serves, even if nobody reads its output.
if (process.argv[2] !== "decision" || process.argv.includes("--help")) watchOutput();
process.exitCode = await runCli(program);
