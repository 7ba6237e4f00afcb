/** The work of `sluice apply`. */
import {
  applyDifferences,
  completeSelection,
  type Difference,
  type DifferenceReport,
  noteWriters,
  type Place,
  reportOf,
  shownDifferences,
  summaryOf,
  withoutLeft,
} from "@sluice/changes";
import { toText } from "@sluice/native";
import { CliError, escapeName, escapeTextName, EXIT, unfit, wrong } from "@sluice/runtime/cli";
import { becomeOwner, openSession } from "@sluice/sessions";
import { hasTerminal } from "./ask-terminal.js";
import { byPerson, type ConflictArguments, type Decide, resolveConflicts } from "./resolve-conflicts.js";
import { withProgress } from "./show-progress.js";
import { heldBackIn, removeDiscarded, type Review, reviewSession, soleUpper } from "./session-changes.js";

export interface ApplyArguments extends ConflictArguments {
  json?: boolean;
}

/** In words: "3 modified; 1 merged; in the session remain 2 added". */
function told(
  applied: readonly Difference[],
  rest: readonly Difference[],
  { merged, separated, dropped, held }: { merged: number; separated: number; dropped: number; held: readonly Difference[] },
): string {
  return [
    summaryOf(shownDifferences(applied)),
    ...(merged === 0 ? [] : [`${merged} of them merged`]),
    ...(separated === 0 ? [] : [`${separated} of them separated from other names of the file`]),
    ...(dropped === 0 ? [] : [`${dropped} as in the directory`]),
    ...(rest.length === 0 ? [] : [`in the session remain ${summaryOf(shownDifferences(rest))}`]),
    ...(held.length === 0 ? [] : [`only applied if you name them: ${namesOf(held)}`]),
  ].join("; ");
}

const MAX_NAMES = 3;

function namesOf(list: readonly Difference[]): string {
  const more = list.length > MAX_NAMES ? [`and ${list.length - MAX_NAMES} more`] : [];
  return [...list.slice(0, MAX_NAMES).map(({ path }) => escapeName(path)), ...more].join(", ");
}

const areCovered = (list: readonly Difference[]): Difference[] => list.filter(({ isCovered }) => isCovered === true);

function nothingToApply(place: Place, held: readonly Difference[], covered: readonly Difference[]): CliError {
  if (held.length === 0 && covered.length > 0)
    return unfit(place.name, `a file system is mounted over its changes: ${namesOf(covered)}`, "unmount it");
  if (held.length === 0) return unfit(place.name, "there is nothing to apply", "see 'sluice diff'");
  return new CliError({
    object: place.name,
    problem: `the changes are held back, since the policy denies them: ${namesOf(held)}`,
    remedy: "name each one that you want",
    exitCode: EXIT.CONFLICT,
  });
}

export interface Applied {
  /** For a person: "applied to /srv/project: 3 modified". */
  line: string;
  /** With --json. */
  report: { session: string; base: string; applied: readonly DifferenceReport[]; left: number; heldBack: readonly string[] } | undefined;
}

/** Applies a selection of a locked session that was recovered. @throws CliError: then nothing was applied */
export async function applyReview(place: Place, review: Review, args: ApplyArguments & { decide?: Decide }): Promise<Applied> {
  const { stack, all, selected } = review;
  const held = heldBackIn(review);
  const covered = areCovered(all.list);
  const wanted = withoutLeft(all, selected, [...held, ...covered]);
  noteWriters(place.base.fd, wanted);
  const decide = args.decide ?? (hasTerminal() ? byPerson : undefined);
  const { taken, merged, dropped } = await resolveConflicts(wanted, place.base.path, { ...args, decide });
  const chosen = completeSelection(all, taken);
  if (chosen.length === 0 && dropped.size === 0) throw nothingToApply(place, held, areCovered(selected));
  const applied = new Set(chosen);
  const rest = all.list.filter((one) => !applied.has(one) && !dropped.has(one));
  const left = new Set(all.list.filter((one) => !applied.has(one)).map(({ path }) => path));
  const separated = chosen.filter(({ sameFile = [] }) => sameFile.some((path) => left.has(path))).length;
  // The layers show other objects once it is done.
  const reports = args.json === true ? shownDifferences(chosen).map((one) => reportOf(stack, one)) : undefined;
  await withProgress("applying", (onProgress) =>
    applyDifferences(place, stack, { chosen, rest, merged, unchanged: all.unchanged, onProgress }),
  );
  await removeDiscarded();
  const line = told(chosen, rest, { merged: chosen.filter((one) => merged.has(one)).length, separated, dropped: dropped.size, held });
  const paths = held.map(({ path }) => toText(path));
  return {
    line: `applied to ${escapeTextName(place.base.path)}: ${line}`,
    report:
      reports === undefined
        ? undefined
        : { session: place.name, base: place.base.path, applied: reports, left: rest.length, heldBack: paths },
  };
}

export async function apply(name: string, words: string[], args: ApplyArguments): Promise<void> {
  if (args.overwrite === true && args.skipConflicts === true)
    throw wrong("apply", "--overwrite and --skip-conflicts contradict each other", "give one of the two");
  becomeOwner();
  const session = openSession(name);
  await session.lock();
  const place = await soleUpper(session);
  const { line, report } = await applyReview(place, await reviewSession(place, words), args);
  process.stdout.write(report === undefined ? `${line}\n` : `${JSON.stringify(report, null, 2)}\n`);
}
