/** `sluice report`: which program read, wrote and was denied which files in the last command of a session. */
import type { Command } from "commander";

const NOTES = `
One page about the last command of the session: its programs, the files that were denied to them, and those that they opened most often.
A file counts as written if it was opened for writing. Deleted and renamed files are shown by 'sluice diff'. The record is bounded:
beyond some thousand names, opens and denials are counted without a name. --json has all names of the record.
`;

export function addReportCommand(program: Command): void {
  program
    .command("report")
    .description("tell which program of a session read, wrote and was denied which files")
    .argument("<session>", "as 'sluice sessions' lists it")
    .option("--json", "as JSON")
    .addHelpText("after", NOTES)
    .action(async (name: string, args: { json?: boolean }) => (await import("../../review/report-session.js")).report(name, args));
}
