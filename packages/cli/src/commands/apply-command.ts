/** `sluice apply`: takes changes of a session over into its directory. */
import { applyDifferences, completeSelection, type Difference, reportOf, shownDifferences, summaryOf } from "@sluice/changes";
import { CliError, escapeName, escapeTextName, EXIT, unfit, wrong } from "@sluice/runtime/cli";
import { openSession } from "@sluice/sessions";
import type { Command } from "commander";
import { placeOf, recover, type Review, reviewSession } from "../review/session-changes.js";

interface ApplyArguments {
  overwrite?: boolean;
  skipConflicts?: boolean;
  json?: boolean;
}

/** @throws CliError, exit code 5, if there are conflicts, and no option decides on them */
function withoutConflicts({ selected }: Review, { overwrite, skipConflicts }: ApplyArguments): Difference[] {
  const conflicts = selected.filter(({ conflict }) => conflict !== undefined);
  if (conflicts.length === 0 || overwrite === true) return selected;
  if (skipConflicts === true) return selected.filter(({ conflict }) => conflict === undefined);
  for (const { path, conflict } of conflicts) process.stderr.write(`${escapeName(path)} [${conflict}]\n`);
  throw new CliError({
    object: "apply",
    problem: `${conflicts.length} of the files changed in the directory since the session has them: nothing was applied`,
    remedy: "leave them out with --skip-conflicts, or take the session's with --overwrite",
    exitCode: EXIT.CONFLICT,
  });
}

async function apply(name: string, words: string[], args: ApplyArguments): Promise<void> {
  if (args.overwrite === true && args.skipConflicts === true)
    throw wrong("apply", "--overwrite and --skip-conflicts contradict each other", "give one of the two");
  const session = openSession(name);
  session.lock();
  const place = placeOf(session);
  recover(place);
  const found = reviewSession(place, words);
  const { stack, all } = found;
  const chosen = completeSelection(all, withoutConflicts(found, args));
  if (chosen.length === 0) throw unfit(name, "there is nothing to apply", "see 'sluice diff'");
  const applied = new Set(chosen);
  const rest = all.list.filter((one) => !applied.has(one));
  const shown = shownDifferences(chosen);
  const report = args.json === true ? shown.map((one) => reportOf(stack, one)) : undefined;
  await applyDifferences(place, stack, { chosen, rest });
  if (report !== undefined) {
    process.stdout.write(`${JSON.stringify({ session: name, base: session.base, applied: report, left: rest.length }, null, 2)}\n`);
    return;
  }
  const left = rest.length === 0 ? "" : `; in the session remain ${summaryOf(shownDifferences(rest))}`;
  process.stdout.write(`applied to ${escapeTextName(session.base)}: ${summaryOf(shown)}${left}\n`);
}

const NOTES = `
Applies all changes, or those in the paths, without those that a '!PATTERN' matches. All are applied, or none. Applied changes leave the
session; 'sluice undo' reverses the last apply. If this command is killed, the next one on the session undoes or finishes what it began.

A file that somebody changed, created or deleted in the directory since the session has it is a conflict: the command lists the conflicts
and applies nothing (exit code 5). The session must not be running. Owners, modes, times, extended attributes, access lists and hard links
are those of the session.

Examples:
  sluice apply brave-otter
  sluice apply brave-otter src/ -- '!*.lock'
`;

export function addApplyCommand(program: Command): void {
  program
    .command("apply")
    .description("take changes of a session over into its directory")
    .argument("<session>")
    .argument("[paths...]", "only changes in these paths; '!PATTERN' leaves out")
    .option("--overwrite", "apply conflicting changes, too: the session's files win")
    .option("--skip-conflicts", "leave conflicting changes in the session")
    .option("--json", "report as JSON")
    .addHelpText("after", NOTES)
    .action(apply);
}
