/** The `sluice` command line: every command by its name. The module of a command is loaded when it is called, or when help lists it. */
import { fileURLToPath } from "node:url";
import { VERSION } from "@sluice/runtime/cli";
import type { ProfileLive } from "@sluice/service-decision/commands";
import type { MountHost } from "@sluice/service-mount";
import { Command } from "commander";
import type { EmbeddedDecisions } from "./embedded/start-embedded-decision.js";
import { addManualCommands } from "./manual/manual-commands.js";

const EPILOGUE = `
Examples:
  sluice doctor                                                check this machine
  sluice run -- bash                                           work on a copy-on-write view of this directory
  sluice mount --lower /srv/base --policy policy.yaml /mnt/view
  sluice status /mnt/view
  sluice grants /mnt/view --watch
  sluice unmount /mnt/view

Exit codes: 0 done, 1 failed while running, 2 the command line or a file is wrong, 3 the machine lacks something,
4 the mount point, a layer or a session is in use or unfit, 5 others changed the same files, or all changes are held back: nothing
was applied or undone.
`;

/** Without "[options]", which nearly all have: so a line of 80 columns has room for the description beside the term. */
const termOf = (command: Command): string => `${command.name()} ${command.usage().replace(/^\[options\] ?/, "")}`.trimEnd();

type AddCommand = (program: Command) => Promise<void>;

/** The host of the mount service: only here it meets the decision service and the keeper. */
async function mountHost(): Promise<MountHost> {
  const keeper = await import("./become-keeper.js");
  let loaded: Promise<EmbeddedDecisions> | undefined;
  const decisions = (): Promise<EmbeddedDecisions> =>
    (loaded ??= import("./embedded/start-embedded-decision.js").then(
      (module) => new module.EmbeddedDecisions(),
      (error: unknown) => {
        // Nothing of it is there to end.
        loaded = undefined;
        throw error;
      },
    ));
  return {
    startEmbeddedDecision: async (options) => (await decisions()).start(options),
    readyDecisions: {
      startNext: async () => (await decisions()).startNext(),
      keep: async () => (await decisions()).keep(),
      prepare: async (count) => (count > 0 ? await decisions() : await loaded)?.prepare(count),
      countForNext: async (tell) => (await decisions()).countForNext(tell),
      keepForUser: async () => (await decisions()).keepForUser(),
      rehearse: async (use) => (await loaded)?.rehearse(use),
      assign: async (user) => (await loaded)?.assign(user),
      end: async () => (await loaded)?.end(),
    },
    becomeAwaitingKeeper: keeper.becomeAwaitingKeeper,
    becomeHostKeeper: keeper.becomeHostKeeper,
    becomeKeeper: keeper.becomeKeeper,
    hostProgram: keeper.hostProgram,
    serverProgram: keeper.serverProgram,
  };
}

const profileLive: ProfileLive = async (...args) => (await import("./profile/live-profile.js")).profileLive(...args);

/**
 * How this command is called: the program, and the arguments before the command's own. Not by its name in bin/, which starts more slowly,
 * since it first has to find out which build is up to date.
 */
const OWN_COMMAND = [process.execPath, fileURLToPath(new URL("./main.js", import.meta.url))] as const;

/** In the order of the help. */
const COMMANDS: Readonly<Record<string, AddCommand>> = {
  mount: async (program) => (await import("./commands/mount-command.js")).addMountCommand(program, await mountHost()),
  keeper: async (program) => (await import("./commands/keeper-command.js")).addKeeperCommand(program, await mountHost()),
  "mount-server": async (program) => (await import("./commands/mount-server-command.js")).addMountServerCommand(program, await mountHost()),
  "user-mount": async (program) => (await import("./commands/mount-server-command.js")).addUserMountCommand(program),
  "user-server": async (program) => (await import("./commands/mount-server-command.js")).addUserServerCommand(program, await mountHost()),
  serve: async (program) => (await import("./commands/serve-command.js")).addServeCommand(program, await mountHost()),
  "host-server": async (program) => (await import("./commands/serve-command.js")).addHostServerCommand(program, await mountHost()),
  unmount: async (program) => (await import("./commands/unmount-command.js")).addUnmountCommand(program),
  upgrade: async (program) => (await import("./commands/upgrade-command.js")).addUpgradeCommand(program, await mountHost()),
  status: async (program) => (await import("./commands/status-command.js")).addStatusCommand(program),
  grants: async (program) => (await import("./commands/grants-command.js")).addGrantsCommand(program),
  log: async (program) => (await import("./log/log-command.js")).addLogCommand(program),
  asks: async (program) => (await import("./asks/asks-command.js")).addAsksCommand(program),
  answer: async (program) => (await import("./asks/answer-command.js")).addAnswerCommand(program),
  explain: async (program) => (await import("./commands/explain-command.js")).addExplainCommand(program),
  diff: async (program) => (await import("./commands/diff-command.js")).addDiffCommand(program),
  run: async (program) => (await import("./commands/run-command.js")).addRunCommand(program, OWN_COMMAND),
  sessions: async (program) => (await import("./commands/sessions/sessions-command.js")).addSessionsCommand(program),
  fork: async (program) => (await import("./commands/sessions/fork-command.js")).addForkCommand(program),
  checkpoint: async (program) => (await import("./commands/sessions/fork-command.js")).addCheckpointCommand(program),
  discard: async (program) => (await import("./commands/sessions/discard-command.js")).addDiscardCommand(program),
  apply: async (program) => (await import("./commands/sessions/apply-command.js")).addApplyCommand(program),
  undo: async (program) => (await import("./commands/sessions/undo-command.js")).addUndoCommand(program),
  report: async (program) => (await import("./commands/sessions/report-command.js")).addReportCommand(program),
  export: async (program) => (await import("./commands/export-command.js")).addExportCommand(program),
  commit: async (program) => (await import("./commands/commit-command.js")).addCommitCommand(program),
  reset: async (program) => (await import("./commands/reset-command.js")).addResetCommand(program),
  fsck: async (program) => (await import("./commands/fsck-command.js")).addFsckCommand(program),
  top: async (program) => (await import("./commands/top-command.js")).addTopCommand(program),
  doctor: async (program) => (await import("./commands/doctor-command.js")).addDoctorCommand(program),
  decision: async (program) => (await import("@sluice/service-decision/commands")).addDecisionCommand(program),
  policy: async (program) => (await import("@sluice/service-decision/commands")).addPolicyCommands(program),
  profile: async (program) => (await import("@sluice/service-decision/commands")).addProfileCommand(program, profileLive),
  csi: async (program) => (await import("./commands/volumes/csi-command.js")).addCsiCommand(program),
  "volume-plugin": async (program) =>
    (await import("./commands/volumes/volume-plugin-command.js")).addVolumePluginCommand(program, OWN_COMMAND),
};

function called(command: string | undefined): AddCommand[] {
  if (command === "--version") return [];
  const add = command !== undefined && Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  return add === undefined ? Object.values(COMMANDS) : [add];
}

/** `command` is the first word of the command line. If it is not the name of a command, the program has all of them. */
export async function buildProgram(command: string | undefined): Promise<Command> {
  const program = new Command("sluice")
    .description("an overlay filesystem in which a policy decides, per open, how I/O flows")
    .version(VERSION)
    .configureHelp({ subcommandTerm: termOf })
    .addHelpText("after", EPILOGUE);
  for (const add of called(command)) await add(program);
  if (command === undefined || !Object.hasOwn(COMMANDS, command)) addManualCommands(program);
  return program;
}
