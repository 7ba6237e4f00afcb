/** `sluice policy …`: what can be done with a policy file without running anything. */
import { type LoadedPolicy, PolicyError, type PolicyProblem, problemLine, readPolicyFile } from "@sluice/policy-backends";
import { EXIT, errorLine } from "@sluice/runtime";
import type { Command } from "commander";

interface CheckResult {
  ok: boolean;
  loaded: LoadedPolicy | undefined;
  problems: readonly PolicyProblem[];
}

function checkFile(file: string): CheckResult {
  try {
    const loaded = readPolicyFile(file);
    return { ok: true, loaded, problems: loaded.warnings };
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return { ok: false, loaded: undefined, problems: error.problems };
  }
}

function summary(file: string, { policy, ruleCount, warnings }: LoadedPolicy): string {
  const { sequence, digest } = policy.revision;
  const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;
  const tail = warnings.length === 0 ? "" : `, ${count(warnings.length, "warning")}`;
  return `${file}: ok, ${count(ruleCount, "rule")}, revision ${sequence} ${digest.slice(0, 12)}${tail}\n`;
}

function check(file: string, { json }: { json?: true }): void {
  const { ok, loaded, problems } = checkFile(file);
  if (json === true) {
    const revision =
      loaded === undefined ? null : { sequence: loaded.policy.revision.sequence.toString(), digest: loaded.policy.revision.digest };
    process.stdout.write(`${JSON.stringify({ file, ok, rules: loaded?.ruleCount ?? null, revision, problems })}\n`);
  } else {
    for (const problem of problems)
      process.stderr.write(errorLine((problem.severity === "warning" ? "warning: " : "") + problemLine(file, problem)));
    if (loaded !== undefined) process.stdout.write(summary(file, loaded));
  }
  if (!ok) process.exitCode = EXIT.USAGE;
}

export function addPolicyCommands(program: Command): void {
  const policy = program.command("policy").description("check policy files");
  policy
    .command("check")
    .description("name every mistake of a policy file, with its place and the remedy; exits 2 if there is one")
    .argument("<file>", "the policy file")
    .option("--json", "one JSON object on standard output")
    .action(check);
}
