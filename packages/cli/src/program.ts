/** The only place that composes both services: every command, and the embedded decision service of `sluice mount`. */
import { VERSION } from "@sluice/runtime/cli";
import type { StartEmbeddedDecision } from "@sluice/service-mount";
import { Command } from "commander";
import { addManualCommands } from "./manual/manual-commands.js";

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

type AddCommands = (program: Command) => Promise<void>;

const addMount: AddCommands = async (program) => {
  const [{ addMountCommands }, { becomeAwaitingKeeper, becomeKeeper, serverProgram }] = await Promise.all([
    import("@sluice/service-mount"),
    import("./become-keeper.js"),
  ]);
  const startEmbeddedDecision: StartEmbeddedDecision = async (options) =>
    (await import("./embedded/start-embedded-decision.js")).startEmbeddedDecision(options);
  addMountCommands(program, { startEmbeddedDecision, becomeAwaitingKeeper, becomeKeeper, serverProgram });
};

const addDecision: AddCommands = async (program) => {
  const { addDecisionCommand, addPolicyCommands, addProfileCommand } = await import("@sluice/service-decision/commands");
  addDecisionCommand(program);
  addPolicyCommands(program);
  addProfileCommand(program);
};

const addVolumePlugin: AddCommands = async (program) => {
  const { addVolumePluginCommand } = await import("@sluice/service-volume-plugin");
  addVolumePluginCommand(program, [process.execPath, process.argv[1] ?? "sluice"]);
};

const DECISION_COMMANDS = new Set(["decision", "policy", "profile"]);
const MOUNT_COMMANDS = new Set([
  "mount",
  "keeper",
  "mount-server",
  "unmount",
  "upgrade",
  "status",
  "grants",
  "diff",
  "doctor",
  "explain",
  "export",
  "commit",
  "reset",
  "fsck",
  "top",
]);

const SERVICE_COMMANDS = new Set([...DECISION_COMMANDS, ...MOUNT_COMMANDS, "volume-plugin"]);

/** Only the service that the command belongs to is loaded: the other one takes longer to load than most commands run. */
function servicesFor(command: string | undefined): AddCommands[] {
  if (command !== undefined && DECISION_COMMANDS.has(command)) return [addDecision];
  if (command !== undefined && MOUNT_COMMANDS.has(command)) return [addMount];
  if (command === "volume-plugin") return [addVolumePlugin];
  return command === "--version" ? [] : [addMount, addDecision, addVolumePlugin];
}

/** `command` is the first word of the command line: with another one than a command's name, the program knows them all. */
export async function buildProgram(command: string | undefined): Promise<Command> {
  const program = new Command("sluice")
    .description("an overlay filesystem in which a policy decides, per open, how I/O flows")
    .version(VERSION)
    .addHelpText("after", EPILOGUE);
  for (const add of servicesFor(command)) await add(program);
  if (command === undefined || !SERVICE_COMMANDS.has(command)) addManualCommands(program);
  return program;
}
