/** Commands of the decision service as a person types them, in a process of their own. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../bin/sluice-decision.cjs", import.meta.url));

export interface TypedCommand {
  status: number | null;
  stdout: string;
  stderr: string;
}

export function sluice(...argv: string[]): TypedCommand {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...argv], { encoding: "utf8", timeout: 60_000 });
  return { status, stdout, stderr };
}
