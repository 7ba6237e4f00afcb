/** The work of `sluice apply`. */
import { applyDifferences, completeSelection, type Difference, reportOf, shownDifferences, summaryOf } from "@sluice/changes";
import { CliError, escapeName, escapeTextName, EXIT, unfit, wrong } from "@sluice/runtime/cli";
import { openSession } from "@sluice/sessions";
import { placeOf, recover, type Review, reviewSession } from "./session-changes.js";

export interface ApplyArguments {
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

export async function apply(name: string, words: string[], args: ApplyArguments): Promise<void> {
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
