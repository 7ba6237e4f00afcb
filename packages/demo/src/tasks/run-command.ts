/** Runs a command to its end, in a task. */
import { spawnSync } from "node:child_process";

export interface CommandResult {
  status: number;
  stdout: string;
  stderr: string;
}

/** Throws only if the command cannot be started or dies of a signal: the caller knows the meaning of a status. */
export function tryCommand(command: string, args: readonly string[], options: { cwd: string; env?: NodeJS.ProcessEnv }): CommandResult {
  const done = spawnSync(command, args, {
    cwd: options.cwd,
    env: { ...process.env, LC_ALL: "C", ...options.env },
    encoding: "utf8",
    maxBuffer: 256 * 1024 * 1024,
  });
  if (done.error) throw new Error(`${command}: ${done.error.message}`, { cause: done.error });
  if (done.status === null) throw new Error(`${command} ${args.join(" ")}: ended by ${done.signal}`);
  return { status: done.status, stdout: done.stdout, stderr: done.stderr };
}

/** Like `tryCommand`; a status other than 0 throws with the command's output. Returns its output. */
export function runCommand(command: string, args: readonly string[], options: { cwd: string; env?: NodeJS.ProcessEnv }): string {
  const { status, stdout, stderr } = tryCommand(command, args, options);
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: status ${status}: ${(stderr || stdout).trim().slice(-2000)}`);
  return stdout;
}
