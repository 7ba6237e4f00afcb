/** A policy file loaded for a command, and let go of after it. */
import {
  loadPolicyFile,
  NO_BACKEND_EVENTS,
  type Policy,
  PolicyError,
  problemLine,
  problemPlace,
  problemText,
} from "@sluice/policy-backends";
import { CliError, EXIT, errorLine } from "@sluice/runtime";

/** Tells all mistakes of a policy or of cases, and gives the first as the error. */
export function refused(error: unknown): unknown {
  if (!(error instanceof PolicyError)) return error;
  const [first, ...others] = error.problems.filter(({ severity }) => severity === "error");
  for (const other of others) process.stderr.write(errorLine(problemLine(error.file, other)));
  if (first === undefined) return error;
  const complaint = { object: problemPlace(error.file, first), problem: problemText(first), remedy: first.remedy };
  return new CliError({ ...complaint, exitCode: EXIT.USAGE }, { cause: error });
}

export async function withPolicy(file: string, use: (policy: Policy) => Promise<void>): Promise<void> {
  const { policy, engine } = await loadPolicyFile(file, NO_BACKEND_EVENTS).catch((error: unknown) => {
    throw refused(error);
  });
  try {
    await use(policy);
  } finally {
    await engine.dispose();
  }
}
