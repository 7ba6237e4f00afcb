/** Builds a C program of this folder for a test, as something that other users may run. */
import { spawnSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { scratch } from "@sluice/testkit";

/** Its path; `sources` are relative to this folder, the program is named after the first. */
export function compileProgram(...sources: readonly [string, ...string[]]): string {
  const directory = scratch();
  chmodSync(directory, 0o755);
  const path = join(directory, "program");
  const files = sources.map((source) => fileURLToPath(new URL(source, import.meta.url)));
  const run = spawnSync("cc", ["-std=gnu11", "-O1", "-Wall", "-o", path, ...files], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(`cannot compile ${sources[0]}: ${run.stderr}`);
  return path;
}
