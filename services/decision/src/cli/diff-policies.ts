/** Runs `sluice policy diff`: the questions of a decision log, or about the files of a directory, to two policies. */
import { type Access, ALL_ACCESSES, type FactNeeds, type Question, uniteFactNeeds } from "@sluice/decision-api";
import { type Policy, questionOf } from "@sluice/policy-backends";
import { CliError, counted, EXIT } from "@sluice/runtime";
import { type Changes, ChangeTally } from "../audit/change-tally.js";
import { replayLog } from "../audit/replay-log.js";
import { type CallerFlags, callerOf } from "./described-flags.js";
import { logLines, refuseOtherFile } from "./log-lines.js";
import { showChanges, showReplay } from "./show-changes.js";
import { type TreeFile, type Unread, walkTree } from "./walk-tree.js";
import { withPolicy } from "./with-policy.js";

export interface DiffFlags extends CallerFlags {
  log?: string;
  tree?: string;
  access?: Access[];
  json?: true;
  exitCode?: true;
}

interface Pair {
  before: Policy;
  after: Policy;
}

/** Questions asked at once: engines elsewhere take many together. */
const AT_ONCE = 64;

/** One access to one file, as each policy wants to be asked. */
interface Asked {
  path: string;
  access: Access;
  question(needs: FactNeeds): Question;
}

async function compare({ before, after }: Pair, { path, access, question }: Asked, tally: ChangeTally): Promise<void> {
  try {
    const was = await before.evaluate(question(before.capabilities));
    tally.record({ path, access, was, now: await after.evaluate(question(after.capabilities)) });
  } catch (error) {
    tally.failed(undefined, error);
  }
}

interface Asking {
  caller: ReturnType<typeof callerOf>;
  accesses: readonly Access[];
}

async function compareTree(
  tree: string,
  pair: Pair,
  { caller, accesses }: Asking,
): Promise<{ changes: Changes; files: number; unread: Unread }> {
  const tally = new ChangeTally();
  const unread: Unread = { count: 0, first: undefined };
  let files = 0;
  let together: Promise<void>[] = [];
  const ask = ({ path, facts }: TreeFile, access: Access): Promise<void> => {
    const question = (needs: FactNeeds): Question => {
      const asked = questionOf({ path: [""], access: [access], ...caller, ...facts }, `${files} ${access}`, needs);
      // Names are byte strings, and a description is text.
      return { ...asked, resource: { ...asked.resource, paths: [path] } };
    };
    return compare(pair, { path, access, question }, tally);
  };
  const needs = uniteFactNeeds([pair.before.capabilities, pair.after.capabilities]);
  for await (const file of walkTree(tree, needs, unread)) {
    files++;
    together.push(...accesses.map((access) => ask(file, access)));
    if (together.length < AT_ONCE) continue;
    await Promise.all(together);
    together = [];
  }
  await Promise.all(together);
  return { changes: tally.done(), files, unread };
}

async function diffTree(tree: string, pair: Pair, flags: DiffFlags): Promise<Changes> {
  const asking = { caller: callerOf(flags), accesses: flags.access ?? ALL_ACCESSES };
  const { changes, files, unread } = await compareTree(tree, pair, asking).catch((cause: NodeJS.ErrnoException) => {
    const remedy = "name a directory that is there and readable";
    throw new CliError({ object: tree, problem: "it cannot be read", errno: cause.code, remedy, exitCode: EXIT.USAGE }, { cause });
  });
  const { given: _given, ...counts } = changes;
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify({ files, unread: unread.count, ...counts })}\n`);
    return changes;
  }
  const { decisions, same, different, failed } = changes;
  const head = [
    `${counted(files, "file")}, ${counted(decisions, "question")}: ${same} the same, ${different} different, ${failed} without an answer`,
  ];
  if (unread.count > 0)
    head.push(`${unread.count === 1 ? "1 file or directory" : `${unread.count} files or directories`} cannot be read: ${unread.first}`);
  process.stdout.write(showChanges(head, changes, "questions"));
  return changes;
}

async function diffLog(log: string, { before, after }: Pair, { json }: DiffFlags): Promise<Changes> {
  const found = await replayLog(await logLines(log), after, before);
  refuseOtherFile(log, { read: found.decisions, unreadable: found.unreadable });
  process.stdout.write(json === true ? `${JSON.stringify(found)}\n` : showReplay(found));
  return found;
}

export async function diffPolicies(oldFile: string, newFile: string, flags: DiffFlags): Promise<void> {
  const { log, tree } = flags;
  if ((log === undefined) === (tree === undefined)) {
    const problem = log === undefined ? "nothing to ask about" : "--log and --tree exclude each other";
    const remedy = "give --log LOG, a decision log, or --tree DIR, a directory with the files of a mount";
    throw new CliError({ object: "policy diff", problem, remedy, exitCode: EXIT.USAGE });
  }
  await withPolicy(oldFile, (before) =>
    withPolicy(newFile, async (after) => {
      const pair = { before, after };
      const { different, failed } = log === undefined ? await diffTree(tree as string, pair, flags) : await diffLog(log, pair, flags);
      if (flags.exitCode === true && different + failed > 0) process.exitCode = EXIT.FAILED;
    }),
  );
}
