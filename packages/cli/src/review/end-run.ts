/** The end of `sluice run`: the summary, and the fate of the session: an option decides, or the person at the terminal. */
import { writeFileSync } from "node:fs";
import { constants } from "node:os";
import { type Difference, differenceLine, kindsOf, shownDifferences } from "@sluice/changes";
import { native, toText } from "@sluice/native";
import { CliError, codeOf, errorLine, failed } from "@sluice/runtime/cli";
import { isUntouched } from "@sluice/sandbox";
import type { Session } from "@sluice/sessions";
import { applyReview } from "./apply-session.js";
import { ask, hasTerminal, surviveQuestions } from "./ask-terminal.js";
import { countedNames, deniedIn, readActivity } from "./session-activity.js";
import { behind, discardSession, placeOf, completeLayers, type Review, reviewSession, soleUpper } from "./session-changes.js";
import { showReview } from "./show-changes.js";
import { type ChangeCounts, countFound } from "./found-changes.js";

export const ON_EXIT = ["ask", "apply", "keep", "discard"] as const;
export type OnExit = (typeof ON_EXIT)[number];

export interface EndArguments {
  onExit?: OnExit;
  output?: string;
  json?: boolean;
}

const SIGNAL_EXIT = 128;
/** SIGHUP or SIGTERM ended the command: whoever sent it waits for the end of all of it. */
const TOLD_TO_END: readonly number[] = [SIGNAL_EXIT + constants.signals.SIGHUP, SIGNAL_EXIT + constants.signals.SIGTERM];

type Outcome = "kept" | "applied" | "discarded";

/** The end of a command. */
interface CommandEnd {
  exitCode: number;
  /** The reason for which nothing may be applied by itself: "the command failed". */
  failure: string | undefined;
}

interface Ending extends CommandEnd {
  session: Session;
  /** As the last line of `sluice diff`: "2 modified, 1 added". */
  kinds: string;
  changes: ChangeCounts;
  conflicts: number;
  heldBack: ReturnType<typeof deniedIn>;
  denied: ReturnType<typeof deniedIn>;
  /** Denied because no decision could be had. */
  undecided: ReturnType<typeof deniedIn>;
  review(): Promise<Review>;
  /** A line for a person that is no error. */
  tell(line: string): void;
}

const UNDECIDED = "denied without a decision";

function summaryLine({ kinds, conflicts, heldBack, denied, undecided }: Ending): string {
  const underneath = conflicts === 0 ? undefined : `${conflicts} changed underneath`;
  const parts = [
    kinds,
    underneath,
    countedNames(heldBack, "held back"),
    countedNames(denied, "denied"),
    countedNames(undecided, UNDECIDED),
  ];
  return parts.filter((part) => part !== undefined).join(" · ");
}

function reportOf({ session, exitCode, changes, conflicts, ...ending }: Ending, outcome: Outcome): unknown {
  const { name, base } = session;
  const textOf = ({ count, paths }: Ending["denied"]): Ending["denied"] => ({ count, paths: paths.map(toText) });
  const [heldBack, denied, undecided] = [textOf(ending.heldBack), textOf(ending.denied), textOf(ending.undecided)];
  return { session: name, base, exitCode, changes, conflicts, heldBack, denied, undecided, outcome, kept: outcome !== "discarded" };
}

async function discard(session: Session): Promise<Outcome> {
  await discardSession(session);
  return "discarded";
}

/** @returns whether it was applied; otherwise the reason is on standard error, and its exit code is the command's */
async function apply(review: Review, { session, tell }: Ending): Promise<boolean> {
  // Files that were only touched, or written again with the same bytes.
  if (review.all.list.length === 0) {
    tell("there is nothing to apply: the directory has the same files");
    return false;
  }
  try {
    const { line } = await applyReview(placeOf(session), review, {});
    tell(line);
    return true;
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    process.stderr.write(errorLine(error.message));
    process.exitCode = error.exitCode;
    return false;
  }
}

const FATES = ["apply", "review", "select", "keep", "discard"];
const SELECTING = ["yes", "no", "all", "quit"];

/** @returns undefined if the person does not want to apply anything after all */
async function selectByPerson(review: Review): Promise<Review | undefined> {
  const { stack, all } = review;
  const byPath = new Map(all.list.map((one) => [one.path, one]));
  const selected: Difference[] = [];
  let takesAll = false;
  for (const one of shownDifferences(all.list)) {
    const origin = one.from === undefined ? undefined : byPath.get(one.from);
    const line = differenceLine(stack, one, origin).trimEnd();
    const key: string | undefined =
      takesAll && one.heldBack === undefined ? "y" : await ask(`${line}   apply it? [y]es [n]o, [a]ll from here on, [q]uit ?`, SELECTING);
    if (key === undefined || key === "q") return undefined;
    takesAll ||= key === "a";
    if (key !== "n") selected.push(one);
  }
  const wanted = behind(review, selected);
  return wanted.length === 0 ? undefined : { ...review, selected: wanted, named: new Set(wanted.map(({ path }) => path)) };
}

async function askPerson(ending: Ending): Promise<Outcome> {
  const { session, review, tell } = ending;
  const told = surviveQuestions();
  // The person has typed this for the command, which has ended.
  native.flushInput(process.stdin.fd);
  for (;;) {
    const key = await ask("[a]pply [r]eview [s]elect [k]eep [d]iscard ?", FATES);
    const signal = told();
    if (signal !== undefined) process.exitCode = SIGNAL_EXIT + constants.signals[signal];
    if (key === undefined || key === "k") return "kept";
    if (key === "d") {
      const outcome = await discard(session);
      tell("discarded");
      return outcome;
    }
    const found = await review();
    if (key === "r") {
      await showReview(found, {});
      await showReview(found, { patch: true });
      continue;
    }
    const wanted = key === "a" ? found : await selectByPerson(found);
    if (wanted !== undefined && (await apply(wanted, ending))) return "applied";
  }
}

async function carryOut(ending: Ending, onExit: OnExit, hasChanges: boolean): Promise<Outcome> {
  const { session, failure } = ending;
  if (onExit === "discard") return discard(session);
  if (onExit === "keep" || !hasChanges) return "kept";
  if (onExit === "ask") return askPerson(ending);
  if (failure === undefined) return (await apply(await ending.review(), ending)) ? "applied" : "kept";
  ending.tell(`nothing was applied, since ${failure}`);
  return "kept";
}

function nextSteps(name: string): string {
  return `sluice: to look: sluice diff ${name} · to take over: sluice apply ${name} · to throw away: sluice discard ${name}\n`;
}

function writeReport(file: string, report: unknown): void {
  try {
    writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  } catch (error) {
    throw failed(file, `the report cannot be written (${codeOf(error)})`, "name a file that you can write");
  }
}

/** The session is locked, and its command has ended. It sets the exit code. @throws CliError */
export async function endRun(session: Session, { exitCode, failure }: CommandEnd, args: EndArguments): Promise<void> {
  process.exitCode = exitCode;
  completeLayers(session);
  const found = isUntouched(session) ? [] : (await reviewSession(placeOf(session), [])).all.list;
  const [kinds, changes] = [kindsOf(shownDifferences(found)), countFound(found)];
  const hasChanges = found.length > 0;
  // Only of one upper layer changes can be applied.
  const review = async (): Promise<Review> => reviewSession(await soleUpper(session), []);
  const conflicts = found.filter(({ conflict }) => conflict !== undefined).length;
  const held = found.flatMap(({ path, heldBack }) => (heldBack === undefined ? [] : [path]));
  const heldBack = { count: held.length, paths: held };
  const quiet = args.json === true;
  const tell = (line: string): void => void (quiet || process.stderr.write(`sluice: ${line}\n`));
  const activity = readActivity(session);
  const [denied, undecided] = [deniedIn(activity, "denied"), deniedIn(activity, "undecided")];
  const ending: Ending = { session, exitCode, failure, kinds, changes, conflicts, heldBack, denied, undecided, review, tell };
  const onExit = args.onExit ?? "ask";
  const asks = onExit === "ask" && !quiet && hasTerminal() && !TOLD_TO_END.includes(exitCode);
  const summary = summaryLine(ending);
  tell(`${summary}${onExit === "discard" ? " · discarded" : ""}`);
  const outcome = await carryOut(ending, onExit === "ask" && !asks ? "keep" : onExit, hasChanges);
  const report = reportOf(ending, outcome);
  if (args.output !== undefined) writeReport(args.output, report);
  if (quiet) process.stderr.write(`${JSON.stringify(report)}\n`);
  else if (outcome === "kept" && process.stderr.isTTY && hasChanges) process.stderr.write(nextSteps(session.name));
}
