/** The only place that composes both services: every command, and the embedded decision service of `sluice mount`. */
import { VERSION } from "@sluice/runtime";
import { addDecisionCommand, addPolicyCommands } from "@sluice/service-decision";
import { addMountCommands } from "@sluice/service-mount";
import { Command } from "commander";
import { startEmbeddedDecision } from "./embedded/start-embedded-decision.js";

const EPILOGUE = `
Examples:
  sluice doctor                                                what does this machine allow?
  sluice mount --lower /srv/base --policy policy.yaml /mnt/view
  sluice status /mnt/view
  sluice grants /mnt/view --watch
  sluice unmount /mnt/view

Exit codes: 0 done, 1 failed while running, 2 the command line or a file is wrong, 3 the machine lacks something,
4 the mount point or a layer is in use or unfit.
`;

export function buildProgram(): Command {
  const program = new Command("sluice")
    .description("an overlay filesystem in which a policy decides, per open, how I/O flows")
    .version(VERSION)
    .addHelpText("after", EPILOGUE);
  addMountCommands(program, { startEmbeddedDecision });
  addDecisionCommand(program);
  addPolicyCommands(program);
  return program;
}
