/** The commands of the embedded decision service's process, after it has given up its rights. */
import { runCli } from "@sluice/runtime/cli";
import { addDecisionCommand, addPolicyCommands } from "@sluice/service-decision/commands";
import { Command } from "commander";
import { FILES_FD } from "./child-user.js";
import { ServedDisk } from "./served-disk.js";

/** Runs the command of this process. `served`: the mount reads the files of the policy for it. @returns the exit code */
export async function serveDecisions(served: boolean): Promise<number> {
  const disk = served ? new ServedDisk(FILES_FD) : undefined;
  const program = new Command("sluice");
  addDecisionCommand(program, disk);
  addPolicyCommands(program, disk);
  const code = await runCli(program);
  disk?.close();
  return code;
}
