/** Runs `sluice policy test`, `replay`, `publish` and `explain`: asks a policy, without a mount and without a service. */
import { readFileSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import { obliged, scopeText } from "@sluice/decision-api";
import {
  type DescribedQuestion,
  type Policy,
  type PolicyCase,
  PolicyError,
  publishPolicy,
  questionOf,
  readPolicyCases,
  rulesOfFile,
  rulesReached,
  runPolicyCase,
} from "@sluice/policy-backends";
import { CliError, EXIT, errorLine, escapeLine } from "@sluice/runtime";
import { replayLog } from "../audit/replay-log.js";
import { type CallerFlags, callerOf, contentOf, numberOf, pathFlag } from "./described-flags.js";
import { logLines, refuseOtherFile } from "./log-lines.js";
import { showReplay } from "./show-changes.js";
import { refused, withPolicy } from "./with-policy.js";

function readable(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code;
    throw new CliError(
      { object: file, problem: "it cannot be read", errno, remedy: "check that it is there and readable", exitCode: EXIT.USAGE },
      { cause },
    );
  }
}

function casesOf(file: string): ReturnType<typeof readPolicyCases> {
  const text = readable(file);
  try {
    return readPolicyCases(text, file);
  } catch (error) {
    throw refused(error);
  }
}

/** Tells the rules that decide no case. */
async function showCoverage(file: string, policy: Policy, cases: readonly PolicyCase[]): Promise<void> {
  const { policyFile, rules } = listedRules(file);
  const reached = new Set<string>();
  for (const each of cases) for (const rule of await rulesReached(policy, each)) reached.add(rule);
  const missed = rules.filter(({ name }) => !reached.has(name));
  const lines = missed.map(
    ({ line, name }) => `${policyFile}:${line}: rule '${name}': no case reaches it: add a case that it decides, or delete it`,
  );
  lines.push(`${rules.length - missed.length} of ${rules.length} rules decide a case`);
  process.stdout.write(`${lines.map(escapeLine).join("\n")}\n`);
}

function listedRules(file: string): ReturnType<typeof rulesOfFile> {
  try {
    return rulesOfFile(file);
  } catch (error) {
    throw refused(error);
  }
}

export interface TestFlags {
  coverage?: true;
}

export const testPolicy = (file: string, casesFile: string, flags: TestFlags): Promise<void> =>
  withPolicy(file, async (policy) => {
    const cases = casesOf(casesFile);
    let failed = 0;
    for (const each of cases) {
      const { differences, ruling } = await runPolicyCase(policy, each);
      if (differences.length === 0) continue;
      failed++;
      const name = each.name ?? each.path.join(", ");
      const why = ruling === undefined ? "" : ` (${ruling.reason})`;
      process.stdout.write(`${casesFile}:${each.line}: ${name}: ${differences.join("; ")}${why}\n`);
    }
    process.stdout.write(`${cases.length - failed} of ${cases.length} cases pass\n`);
    if (flags.coverage === true) await showCoverage(file, policy, cases);
    if (failed > 0) process.exitCode = EXIT.FAILED;
  });

export interface ReplayFlags {
  policy: string;
  json?: true;
  exitCode?: true;
}

export const replayDecisions = (log: string, flags: ReplayFlags): Promise<void> =>
  withPolicy(flags.policy, async (policy) => {
    const found = await replayLog(await logLines(log), policy);
    refuseOtherFile(log, { read: found.decisions, unreadable: found.unreadable });
    process.stdout.write(flags.json === true ? `${JSON.stringify(found)}\n` : showReplay(found));
    if (flags.exitCode === true && found.different + found.failed > 0) process.exitCode = EXIT.FAILED;
  });

export interface ExplainFlags extends CallerFlags {
  access: DescribedQuestion["access"];
  layer?: string;
  content?: string;
  json?: true;
}

/** @throws CliError if the engine of the policy does not answer */
async function answered<T>(file: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    const problem = `no answer: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new CliError({ object: file, problem, remedy: "see that its engine runs, and answers", exitCode: EXIT.FAILED }, { cause });
  }
}

export const explainPath = (file: string, path: string, flags: ExplainFlags): Promise<void> =>
  withPolicy(file, async (policy) => {
    const described: DescribedQuestion = {
      path: [pathFlag(path)],
      access: flags.access,
      ...callerOf(flags),
      layer: flags.layer,
      ...contentOf(flags.content),
    };
    const question = questionOf(described, "explain", policy.capabilities);
    const { enforced: ruling } = obliged(await answered(file, async () => policy.evaluate(question)), question);
    const { sequence, digest } = policy.revision;
    const whole = { ...ruling, policy: policy.id, revision: { sequence: sequence.toString(), digest } };
    process.stdout.write(flags.json === true ? `${JSON.stringify(whole)}\n` : explanation(whole));
  });

function tellWarning({ message }: Error): void {
  process.stderr.write(errorLine(`warning: ${message}`));
}

export interface PublishFlags {
  to: string;
  above?: string;
}

export async function publishFile(file: string, { to, above }: PublishFlags): Promise<void> {
  const newest = BigInt(numberOf(above, "--above") ?? 0);
  const { sequence, digest, place } = await publishPolicy(file, to, newest, tellWarning).catch((error: unknown) => {
    if (error instanceof PolicyError) throw refused(error);
    const problem = `it cannot be published (${error instanceof Error ? error.message : String(error)})`;
    throw new CliError(
      { object: to, problem, remedy: "see that the server runs and has the bucket", exitCode: EXIT.FAILED },
      { cause: error },
    );
  });
  process.stdout.write(`${file}: published as revision ${sequence} ${digest.slice(0, 12)} in ${place}\n`);
}

const errnoWord = (errno: number): string => getSystemErrorName(-errno);

function explanation(
  ruling: Awaited<ReturnType<Policy["evaluate"]>> & { policy: string; revision: { sequence: string; digest: string } },
): string {
  const { scope, revision } = ruling;
  const facts = scope === undefined ? [] : [...scope.subject, ...scope.resource, ...scope.xattrs];
  const holds =
    scope === undefined
      ? "for this question alone"
      : [
          scopeText(scope.subtree, scope.except),
          `for ${scope.accesses.join(", ")}`,
          facts.length === 0 ? "whatever the other facts are" : `while these facts stay the same: ${facts.join(", ")}`,
          ...(scope.ttlMs === undefined ? [] : [`at most ${scope.ttlMs} ms`]),
        ].join(", ");
  const obligations = ruling.obligations.map(({ name, value }) => `${name}: ${value}`).join(", ");
  return [
    `effect       ${ruling.hides === true ? "hide" : ruling.effect}${ruling.errno === 0 ? "" : ` (${errnoWord(ruling.errno)})`}`,
    `rule         ${ruling.rule}`,
    `reason       ${ruling.reason}`,
    ...(obligations === "" ? [] : [`obligations  ${obligations}`]),
    `policy       ${ruling.policy}, revision ${revision.sequence} ${revision.digest.slice(0, 12)}`,
    `holds        ${holds}`,
    "",
  ].join("\n");
}
