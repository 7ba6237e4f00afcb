/**
 * Checks the policy of a decision service that could not start, in a process without any rights, as the service had. So the user sees all
 * mistakes at once, and learns if only root may read a file. A service that starts has checked the policy itself.
 */
import { once } from "node:events";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { CliError, EXIT, errorLine } from "@sluice/runtime";
import { lastWord } from "../last-word.js";
import { spawnCheck } from "./child-process.js";
import type { OwnUser, SharedUser } from "./decision-user.js";

interface Problem {
  severity: "error" | "warning";
  line: number;
  column: number;
  rule?: string;
  message: string;
  remedy: string;
}

const TIMEOUT_MS = 30_000;

function unreadable(file: string, message: string): CliError {
  return new CliError({
    object: file,
    problem: message.replace(" (EACCES)", ""),
    errno: "EACCES",
    remedy: "make it readable to the owner of the file that names it, or to everybody (docs/policy-backends.md)",
    exitCode: EXIT.USAGE,
  });
}

function complaint(file: string, problem: Problem): CliError {
  const { line, column, rule, message, remedy } = problem;
  // Line 0: the problem is about the whole file.
  const object = line === 0 ? file : `${file}:${line}:${column}`;
  if (message.includes("(EACCES)")) return unreadable(object, message);
  return new CliError({
    object,
    problem: rule === undefined ? message : `rule '${rule}': ${message}`,
    remedy,
    exitCode: EXIT.USAGE,
  });
}

interface Checked {
  problems: Problem[];
  /** The policy file, or a file that it names. */
  problemFile: string;
}

function parseChecked(stdout: string): Checked | undefined {
  try {
    return JSON.parse(stdout) as Checked;
  } catch {
    return undefined;
  }
}

interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

async function runCheck(file: string, user: OwnUser | SharedUser): Promise<Run> {
  const child = spawnCheck(user, file);
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  try {
    const output = Promise.all([text(child.stdout as Readable), text(child.stderr as Readable)]);
    const [code] = (await once(child, "close")) as [number | null];
    const [stdout, stderr] = await output;
    return { code, stdout, stderr };
  } finally {
    clearTimeout(timer);
  }
}

/** @returns the last mistake; those before it are on standard error. Undefined if the policy has none */
export async function policyMistake(file: string, user: OwnUser | SharedUser): Promise<CliError | undefined> {
  const { code, stdout, stderr } = await runCheck(file, user);
  if (code === 0) return undefined;
  const checked = parseChecked(stdout);
  const errors = checked?.problems.filter((problem) => problem.severity === "error") ?? [];
  const complaints = errors.map((problem) => complaint(checked?.problemFile ?? file, problem));
  const last = complaints.pop();
  if (last === undefined) {
    const problem = lastWord(stderr) || "the policy could not be checked";
    return new CliError({ object: file, problem, remedy: "see 'sluice policy check'", exitCode: EXIT.USAGE });
  }
  for (const before of complaints) process.stderr.write(errorLine(before.message));
  return last;
}
