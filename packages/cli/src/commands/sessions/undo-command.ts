/** `sluice undo`: reverses the last apply. */
import type { Command } from "commander";

const NOTES = `
The directory becomes as it was before the last apply of the session, or of the session that was applied last, and the session has its
changes again. If a file changed since the apply, the command lists such files and changes nothing (exit code 5). With --skip-changed such files
stay as they are, the ones from before the apply are put beside them as NAME.before-apply, and the rest is undone.
`;

export function addUndoCommand(program: Command): void {
  program
    .command("undo")
    .description("reverse the last apply")
    .argument("[session]", "by default the one that was applied last")
    .option("--skip-changed", "leave files that changed since the apply, and undo the rest")
    .addHelpText("after", NOTES)
    .action(async (name: string | undefined, args: { skipChanged?: boolean }) =>
      (await import("../../review/undo-session.js")).undo(name, args),
    );
}
