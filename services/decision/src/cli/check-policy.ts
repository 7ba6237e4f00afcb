/** Runs `sluice policy check`. */
import {
  loadPolicyFile,
  type LoadedPolicy,
  NO_BACKEND_EVENTS,
  type PolicyDisk,
  PolicyError,
  type PolicyProblem,
  problemLine,
} from "@sluice/policy-backends";
import { counted, EXIT, errorLine } from "@sluice/runtime";

interface CheckResult {
  ok: boolean;
  loaded: LoadedPolicy | undefined;
  problems: readonly PolicyProblem[];
  /** Of the mistakes: the policy file, or another one that it names. */
  problemFile: string;
}

async function checkFile(file: string, disk: PolicyDisk | undefined): Promise<CheckResult> {
  try {
    const warnings: PolicyProblem[] = [];
    const warned = (warning: Error): void => {
      if (warning instanceof PolicyError)
        warnings.push(...warning.problems.map((problem) => ({ file: warning.file, ...problem, severity: "warning" as const })));
    };
    const loaded = await loadPolicyFile(file, { ...NO_BACKEND_EVENTS, warned }, disk);
    await loaded.engine.dispose();
    return { ok: true, loaded, problems: [...warnings, ...loaded.warnings], problemFile: file };
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return { ok: false, loaded: undefined, problems: error.problems, problemFile: error.file };
  }
}

/** An engine elsewhere has rules that nobody here can count. */
function contentOf({ kind, ruleCount }: LoadedPolicy): string {
  if (ruleCount === 0 && kind !== "rules") return `kind ${kind}`;
  return counted(ruleCount, "rule");
}

function summary(file: string, loaded: LoadedPolicy, warnings: readonly PolicyProblem[]): string {
  const { sequence, digest } = loaded.policy.revision;
  const tail = warnings.length === 0 ? "" : `, ${counted(warnings.length, "warning")}`;
  return `${file}: ok, ${contentOf(loaded)}, revision ${sequence} ${digest.slice(0, 12)}${tail}\n`;
}

export async function checkPolicy(file: string, { json }: { json?: true }, disk: PolicyDisk | undefined): Promise<void> {
  const { ok, loaded, problems, problemFile } = await checkFile(file, disk);
  if (json === true) {
    const revision =
      loaded === undefined ? null : { sequence: loaded.policy.revision.sequence.toString(), digest: loaded.policy.revision.digest };
    process.stdout.write(`${JSON.stringify({ file, ok, rules: loaded?.ruleCount ?? null, revision, problems, problemFile })}\n`);
  } else {
    for (const problem of problems)
      process.stderr.write(errorLine((problem.severity === "warning" ? "warning: " : "") + problemLine(problemFile, problem)));
    if (loaded !== undefined) process.stdout.write(summary(file, loaded, problems));
  }
  if (!ok) process.exitCode = EXIT.USAGE;
}
