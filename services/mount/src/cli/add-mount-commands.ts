/** Every command of the mount service. */
import type { Command } from "commander";
import type { MountHost } from "../lifecycle/life.js";
import { addCommitCommand } from "./commit-command.js";
import { addDiffCommand } from "./diff-command.js";
import { addDoctorCommand } from "./doctor-command.js";
import { addExplainCommand } from "./explain-command.js";
import { addExportCommand } from "./export-command.js";
import { addFsckCommand } from "./fsck-command.js";
import { addGrantsCommand } from "./grants-command.js";
import { addKeeperCommand } from "./keeper-command.js";
import { addMountCommand } from "./mount-command.js";
import { addMountServerCommand } from "./mount-server-command.js";
import { addResetCommand } from "./reset-command.js";
import { addStatusCommand } from "./status-command.js";
import { addTopCommand } from "./top-command.js";
import { addUnmountCommand } from "./unmount-command.js";
import { addUpgradeCommand } from "./upgrade-command.js";

export function addMountCommands(program: Command, host: MountHost): void {
  addMountCommand(program, host);
  addKeeperCommand(program, host);
  addMountServerCommand(program, host);
  addUnmountCommand(program);
  addUpgradeCommand(program, host);
  addStatusCommand(program);
  addGrantsCommand(program);
  addExplainCommand(program);
  addDiffCommand(program);
  addExportCommand(program);
  addCommitCommand(program);
  addResetCommand(program);
  addFsckCommand(program);
  addTopCommand(program);
  addDoctorCommand(program);
}
