/** Decides on each conflict: by options, by a clean merge, or by the person at the terminal. */
import { conflictLabel, type Difference, selectorOf } from "@sluice/changes";
import { CliError, escapeName, escapeTextName, EXIT, wrong } from "@sluice/runtime/cli";
import { ask } from "./ask-terminal.js";

export interface ConflictArguments {
  overwrite?: boolean;
  skipConflicts?: boolean;
  takeSession?: string[];
  takeDirectory?: string[];
  takeMerge?: string[];
}

/** The session's file, the directory's, both in one, or no decision: the change stays in the session. */
export type Choice = "session" | "directory" | "merge" | "none";

/** Asks a person about a conflict on which no option decides. Undefined: they do not decide, and nothing is applied. */
export type Decide = (one: Difference) => Promise<Choice | undefined>;

export interface Resolved {
  /** To apply. */
  taken: Difference[];
  /** Those of them of which the merge is applied. */
  merged: Set<Difference>;
  /** The directory's file stays, and the session forgets its own. */
  dropped: Set<Difference>;
}

const hasConflict = ({ conflict }: Difference): boolean => conflict !== undefined;

/** @throws CliError if an option names no conflict, or wants a merge that there is not */
function byOptions(base: string, conflicts: readonly Difference[], args: ConflictArguments): Map<Difference, Choice> {
  const choices = new Map<Difference, Choice>();
  const choose = (choice: Choice, option: string, words: readonly string[] = []): void => {
    for (const word of words) {
      const isNamed = selectorOf(base, [word]);
      const named = conflicts.filter(({ path }) => isNamed(path));
      if (named.length === 0) throw wrong(option, `${escapeTextName(word)} names no conflict`, "see 'sluice diff'");
      for (const one of named) {
        if (choice === "merge" && one.merge === undefined)
          throw wrong(option, `${escapeName(one.path)} cannot be merged`, "take the session's or the directory's");
        choices.set(one, choice);
      }
    }
  };
  choose("session", "--take-session", args.takeSession);
  choose("directory", "--take-directory", args.takeDirectory);
  choose("merge", "--take-merge", args.takeMerge);
  return choices;
}

function byDefault({ merge }: Difference, { overwrite, skipConflicts }: ConflictArguments): Choice | undefined {
  if (overwrite === true) return "session";
  if (merge?.conflicts === 0) return "merge";
  return skipConflicts === true ? "none" : undefined;
}

const KEYS: Readonly<Record<string, Choice>> = { s: "session", d: "directory", m: "merge", l: "none" };

export async function byPerson(one: Difference): Promise<Choice | undefined> {
  const merge = one.merge === undefined ? "" : " take the [m]erge, with its markers";
  const question = `${escapeName(one.path)} [${conflictLabel(one)}]: take the [s]ession's, the [d]irectory's,${merge} [l]eave it, [q]uit ?`;
  const key = await ask(question, [...(one.merge === undefined ? [] : ["merge"]), "session", "directory", "leave", "quit"]);
  return key === undefined ? undefined : KEYS[key];
}

function refuse(open: readonly Difference[]): never {
  for (const one of open) process.stderr.write(`${escapeName(one.path)} [${conflictLabel(one)}]\n`);
  throw new CliError({
    object: "apply",
    problem: `${open.length} of the files changed in the directory since the session has them, or a program writes them: nothing was applied`,
    remedy: "leave them out with --skip-conflicts, or choose with --take-session, --take-directory or --take-merge",
    exitCode: EXIT.CONFLICT,
  });
}

/** @throws CliError, exit code 5, if there are conflicts on which nobody decides */
export async function resolveConflicts(
  selected: readonly Difference[],
  base: string,
  { decide, ...args }: ConflictArguments & { decide: Decide | undefined },
): Promise<Resolved> {
  const conflicts = selected.filter(hasConflict);
  const choices = byOptions(base, conflicts, args);
  for (const one of conflicts) {
    const choice = choices.get(one) ?? byDefault(one, args) ?? (await decide?.(one));
    if (choice !== undefined) choices.set(one, choice);
    else if (decide !== undefined) break;
  }
  const open = conflicts.filter((one) => !choices.has(one));
  if (open.length > 0) refuse(open);
  const chosen = (choice: Choice): Set<Difference> => new Set(conflicts.filter((one) => choices.get(one) === choice));
  const [merged, dropped, left] = [chosen("merge"), chosen("directory"), chosen("none")];
  return { taken: selected.filter((one) => !dropped.has(one) && !left.has(one)), merged, dropped };
}
