/** Serves a mount in this process, from the arguments of `sluice mount` to its end. */
import { addMountCommand, EmbeddedDecisions } from "@sluice/cli";
import { runCli } from "@sluice/runtime";
import { Command } from "commander";

/** Calls `announce` once the mount serves requests. Resolves to the exit code when nothing of the mount is left. */
export function serve(argv: readonly string[], announce: (line: string) => void): Promise<number> {
  const program = new Command("sluice-overlayfs");
  addMountCommand(program, { startEmbeddedDecision: new EmbeddedDecisions().start, announce });
  return runCli(program, [process.execPath, "sluice-overlayfs", "mount", ...argv]);
}
