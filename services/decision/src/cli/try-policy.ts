/** Runs `sluice policy test`, `replay`, `publish` and `explain`: asks a policy, without a mount and without a service. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { posix } from "node:path";
import { QUESTION_LIMITS } from "@sluice/decision-api";
import {
  type DescribedQuestion,
  type Policy,
  PolicyError,
  publishPolicy,
  questionOf,
  readPolicyCases,
  runPolicyCase,
} from "@sluice/policy-backends";
import { CliError, EXIT, errorLine, escapeLine, escapeTextName } from "@sluice/runtime";
import { type Change, type Replay, replayLog } from "../audit/replay-log.js";
import { logLines, refuseOtherFile } from "./log-lines.js";
import { refused, withPolicy } from "./with-policy.js";

const SHOWN = 20;

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

export const testPolicy = (file: string, casesFile: string): Promise<void> =>
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
    if (failed > 0) process.exitCode = EXIT.FAILED;
  });

const arrow = ({ was, now }: Change): string => `${was.effect} '${was.rule}' -> ${now.effect} '${now.rule}'`;

function report(replay: Replay): string {
  const { decisions, given, unreadable } = replay;
  const times = (count: number): string => (count === 1 ? "1 time" : `${count} times`);
  const part = (kind: "same" | "different" | "failed", words: string): string =>
    `${replay[kind]} ${words}${given[kind] === 0 ? "" : ` (${times(given[kind])})`}`;
  const parts = [part("same", "the same"), part("different", "different"), part("failed", "without an answer")].join(", ");
  const lines = [`${decisions} decisions, given ${times(given.decisions)}: ${parts}`];
  if (replay.firstFailure !== undefined) lines.push(`the first without an answer: ${replay.firstFailure}`);
  if (unreadable > 0) lines.push(`${unreadable} lines are not of a decision log`);
  const list = (title: string, changes: readonly Change[], name: (change: never) => string): void => {
    if (changes.length === 0) return;
    lines.push("", title, ...changes.slice(0, SHOWN).map((change) => `${String(change.count).padStart(8)}  ${name(change as never)}`));
    if (changes.length > SHOWN) lines.push(`          and ${changes.length - SHOWN} more: see --json`);
  };
  list("by rule (times, with repetitions from the caches of mounts):", replay.byRule, arrow);
  list("by path:", replay.byPath, (change: Change & { path: string }) => `${escapeTextName(change.path)}: ${arrow(change)}`);
  return `${lines.map(escapeLine).join("\n")}\n`;
}

export interface ReplayFlags {
  policy: string;
  json?: true;
  exitCode?: true;
}

export const replayDecisions = (log: string, flags: ReplayFlags): Promise<void> =>
  withPolicy(flags.policy, async (policy) => {
    const found = await replayLog(await logLines(log), policy);
    refuseOtherFile(log, { read: found.decisions, unreadable: found.unreadable });
    process.stdout.write(flags.json === true ? `${JSON.stringify(found)}\n` : report(found));
    if (flags.exitCode === true && found.different + found.failed > 0) process.exitCode = EXIT.FAILED;
  });

export interface ExplainFlags {
  access: DescribedQuestion["access"];
  uid?: string;
  gid?: string;
  executable?: string;
  layer?: string;
  content?: string;
  json?: true;
}

/** Of a file at hand, in place of one on a mount. */
function contentOf(file: string | undefined): Pick<DescribedQuestion, "size" | "head" | "digest"> {
  if (file === undefined) return {};
  try {
    const bytes = readFileSync(file);
    const digest = createHash("sha256").update(bytes).digest("hex");
    return { size: bytes.length, head: bytes.toString("latin1", 0, QUESTION_LIMITS.headBytes), digest };
  } catch (error) {
    const problem = `it cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown"})`;
    throw new CliError({ object: file, problem, remedy: "name a file that is there and readable", exitCode: EXIT.USAGE }, { cause: error });
  }
}

function idOf(text: string | undefined, option: string): number | undefined {
  if (text === undefined || /^\d{1,9}$/.test(text)) return text === undefined ? undefined : Number(text);
  throw new CliError({ object: `${option} ${text}`, problem: "it is not a whole number", remedy: "write one", exitCode: EXIT.USAGE });
}

/** Below the mount's root, as rules see it. Throws CliError if it leads elsewhere. */
function pathBelowMount(path: string): string {
  const plain = posix.normalize(path);
  const problem = plain.startsWith("/") ? "it is an absolute path" : /^\.\.(\/|$)/.test(plain) ? "it leads out of the mount" : undefined;
  if (problem === undefined) return plain === "." ? "" : plain.replace(/\/$/, "");
  const below = plain.replace(/^\/+|^(\.\.(\/|$))+/, "");
  const remedy = `write the path below the mount's root, as in ${below === "" ? "data/file" : below}`;
  throw new CliError({
    object: path,
    problem,
    remedy: `${remedy}; 'sluice explain' takes a file of a running mount`,
    exitCode: EXIT.USAGE,
  });
}

export const explainPath = (file: string, path: string, flags: ExplainFlags): Promise<void> =>
  withPolicy(file, async (policy) => {
    const described: DescribedQuestion = {
      path: [pathBelowMount(path)],
      access: flags.access,
      uid: idOf(flags.uid, "--uid"),
      gid: idOf(flags.gid, "--gid"),
      executable: flags.executable,
      layer: flags.layer,
      ...contentOf(flags.content),
    };
    const ruling = await policy.evaluate(questionOf(described, "explain", policy.capabilities));
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
  const newest = BigInt(idOf(above, "--above") ?? 0);
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

function explanation(
  ruling: Awaited<ReturnType<Policy["evaluate"]>> & { policy: string; revision: { sequence: string; digest: string } },
): string {
  const { scope, revision } = ruling;
  const scopeText =
    scope === undefined
      ? "for this question alone"
      : [
          scope.subtree === undefined ? "for this file" : `for all of '${scope.subtree}/'`,
          `and these accesses: ${scope.accesses.join(", ")}`,
          `while these are the same: ${[...scope.subject, ...scope.resource, ...scope.xattrs].join(", ") || "(nothing else was looked at)"}`,
          ...(scope.ttlMs === undefined ? [] : [`at most ${scope.ttlMs} ms`]),
        ].join(", ");
  const obligations = ruling.obligations.map(({ name, value }) => `${name}: ${value}`).join(", ");
  return [
    `effect       ${ruling.hides === true ? "hide" : ruling.effect}${ruling.errno === 0 ? "" : ` (errno ${ruling.errno})`}`,
    `rule         ${ruling.rule}`,
    `reason       ${ruling.reason}`,
    ...(obligations === "" ? [] : [`obligations  ${obligations}`]),
    `policy       ${ruling.policy}, revision ${revision.sequence} ${revision.digest.slice(0, 12)}`,
    `holds        ${scopeText}`,
    "",
  ].join("\n");
}
