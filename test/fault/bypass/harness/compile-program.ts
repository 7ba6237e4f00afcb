/** Builds a C program of this folder for a test, in a place where other users may run it. */
import { spawnSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { scratch } from "@sluice/testkit";

/** Returns the program's path; `sources` are relative to this folder, and the first gives the program its name. */
export function compileProgram(...sources: readonly [string, ...string[]]): string {
  const directory = scratch();
  chmodSync(directory, 0o755);
  const path = join(directory, "program");
  const files = sources.map((source) => fileURLToPath(new URL(source, import.meta.url)));
  const run = spawnSync("cc", ["-std=gnu11", "-O1", "-Wall", "-o", path, ...files], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(`cannot compile ${sources[0]}: ${run.stderr}`);
  return path;
}
