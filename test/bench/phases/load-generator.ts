/** Compiles and runs the load generator, which keeps its own clock: its report includes nothing of this process. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { BenchError } from "../bench-error.js";
import { findProgram } from "../machine/find-program.js";
import { runCommand } from "../machine/run-command.js";
import { LOAD_SOURCES } from "../program-paths.js";

export interface LoadOptions {
  directory: string;
  files: number;
  first?: number;
  filesADirectory?: number;
  loops?: number;
  sizeBytes?: number;
  processes?: number;
  tag?: string;
  /** The mount point whose cached names are dropped before the clock starts. */
  forget?: string;
}

export interface LoadResult {
  operations: number;
  elapsedNs: number;
}

/** The path of the program. @throws BenchError 3 without a compiler */
export async function compileLoad(folder: string): Promise<string> {
  if (!findProgram("cc")) throw new BenchError(3, "cc: not found: install gcc and libc6-dev");
  const sources = readdirSync(LOAD_SOURCES).filter((name) => name.endsWith(".c"));
  const program = join(folder, "load");
  const options = ["-O2", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-o", program];
  await runCommand("cc", [...options, ...sources.map((name) => join(LOAD_SOURCES, name))]);
  return program;
}

export function loadArguments(phase: string, options: LoadOptions): string[] {
  const flags: readonly (readonly [string, string | number | undefined])[] = [
    ["-n", options.files],
    ["-f", options.first],
    ["-d", options.filesADirectory],
    ["-l", options.loops],
    ["-s", options.sizeBytes],
    ["-p", options.processes],
    ["-t", options.tag],
    ["-c", options.forget],
  ];
  return [phase, options.directory, ...flags.flatMap(([flag, value]) => (value === undefined ? [] : [flag, String(value)]))];
}

/** For a machine that is busy, where a million names take longer than a command usually may. */
const LEAST_LIMIT_MS = 300_000;
const LIMIT_PER_FILE_MS = 1;

export async function runLoad(program: string, phase: string, options: LoadOptions): Promise<LoadResult> {
  const timeoutMs = Math.max(LEAST_LIMIT_MS, options.files * LIMIT_PER_FILE_MS);
  const { stdout } = await runCommand(program, loadArguments(phase, options), { timeoutMs });
  return JSON.parse(stdout) as LoadResult;
}
