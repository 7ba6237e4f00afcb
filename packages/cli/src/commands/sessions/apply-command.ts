/** `sluice apply`: takes changes of a session over into its directory. */
import { type Command, Option } from "commander";
import type { ApplyArguments } from "../../review/apply-session.js";
import { collect } from "../shared-options.js";

const NOTES = `
Applies all changes, or those in the paths, without those that a '!PATTERN' matches. All are applied, or none. Applied changes leave the
session; 'sluice undo' reverses the last apply. If this command is killed, the next one on the session undoes or finishes what it began.

A file that somebody changed, created or deleted in the directory since the session has it is a conflict. Texts are merged by git. A merge
without conflicts is applied. About any other conflict the command asks on a terminal; elsewhere it lists the conflicts and applies nothing
(exit code 5), unless an option decides. The session must not be running. Owners, modes, times, extended attributes, access lists and hard links
are those of the session.

A file may have other names (hard links), at which the program never changed it. If the policy of the session denies a change by such a name,
the change is held back there: name it to apply it.

Examples:
  sluice apply brave-otter
  sluice apply brave-otter src/ -- '!*.lock'
  sluice apply brave-otter --take-session src/a.c --take-directory package.json
`;

/** Its path may be a name that is not UTF-8: see argument-bytes.ts of packages/changes. */
const decision = (flags: string, text: string): Option => Object.assign(new Option(flags, text).argParser(collect), { hasBytes: true });

export function addApplyCommand(program: Command): void {
  program
    .command("apply")
    .description("take changes of a session over into its directory")
    .argument("<session>", "as 'sluice sessions' lists it")
    .argument("[paths...]", "only changes in these paths; '!PATTERN' leaves out")
    .option("--overwrite", "apply conflicting changes, too: the session's files win, and nothing is merged")
    .option("--skip-conflicts", "leave conflicting changes in the session, unless they merge cleanly")
    .addOption(decision("--take-session <path>", "of conflicts in this path take the session's files; may be repeated"))
    .addOption(decision("--take-directory <path>", "keep the directory's files; the session forgets its own; may be repeated"))
    .addOption(decision("--take-merge <path>", "take the merge, with markers at its conflicts; may be repeated"))
    .option("--json", "report as JSON")
    .addHelpText("after", NOTES)
    .action(async (name: string, words: string[], args: ApplyArguments) =>
      (await import("../../review/apply-session.js")).apply(name, words, args),
    );
}
