/**
 * Looks at a policy before a mount is begun, in a process without any rights, as the decision service itself will: so
 * mistakes are told at once and all together, and a file that only root may read is told as such.
 */
import { spawnSync } from "node:child_process";
import { CliError, EXIT, errorLine } from "@sluice/runtime";
import { CHILD_MAIN, childEnvironment } from "./child-process.js";

interface Problem {
  severity: "error" | "warning";
  line: number;
  column: number;
  message: string;
  remedy: string;
}

const TIMEOUT_MS = 30_000;

/** We can read it, or we would not have come here. */
function unreadable(file: string): CliError {
  return new CliError({
    object: file,
    problem: "the decision service runs as nobody (uid 65534) and may not read it",
    errno: "EACCES",
    remedy: `chmod o+r it and o+x the directories above it, or run 'sluice decision' yourself and give --decision`,
    exitCode: EXIT.USAGE,
  });
}

function complaint(file: string, problem: Problem): CliError {
  const { line, column, message, remedy } = problem;
  if (message.includes("(EACCES)")) return unreadable(file);
  return new CliError({ object: `${file}:${line}:${column}`, problem: message, remedy, exitCode: EXIT.USAGE });
}

interface Checked {
  problems: Problem[];
  /** The policy file, or another one that it names. */
  problemFile: string;
}

function parseChecked(stdout: string): Checked | undefined {
  try {
    return JSON.parse(stdout) as Checked;
  } catch {
    return undefined;
  }
}

/** Throws CliError for the first mistake, having told the others on standard error. */
export function checkPolicy(file: string): void {
  const argv = [CHILD_MAIN, "policy", "check", "--json", file];
  const done = spawnSync(process.execPath, argv, { cwd: "/", env: childEnvironment(), encoding: "utf8", timeout: TIMEOUT_MS });
  if (done.status === 0) return;
  const checked = parseChecked(done.stdout);
  const errors = checked?.problems.filter((problem) => problem.severity === "error") ?? [];
  const [first, ...others] = errors.map((problem) => complaint(checked?.problemFile ?? file, problem));
  if (first === undefined) {
    const lines = done.stderr.trim().split("\n");
    // What Node says of its end has the reason in the middle.
    const said = lines.find((line) => /^(?:sluice: |\w*Error\b)/.test(line)) ?? lines.at(-1) ?? "";
    const problem = said === "" ? "the policy could not be checked" : said.replace(/^sluice: /, "");
    throw new CliError({ object: file, problem, remedy: "see 'sluice policy check'", exitCode: EXIT.USAGE });
  }
  for (const other of others) process.stderr.write(errorLine(other.message));
  throw first;
}
