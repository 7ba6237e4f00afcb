/** The exercisers are written in C, since Node maps no files. They are compiled at need, and removed with the test file. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { scratch } from "@sluice/testkit";

const SOURCES = {
  "file-exerciser": ["file-exerciser.c", "file-operations.c"],
  "tree-exerciser": ["tree-exerciser.c", "tree-model.c", "tree-operations.c", "tree-verify.c"],
} as const;

/** Returns the path of the program. */
export function compileExerciser(name: keyof typeof SOURCES): string {
  const path = join(scratch(), name);
  const sources = SOURCES[name].map((source) => fileURLToPath(new URL(source, import.meta.url)));
  const run = spawnSync("cc", ["-std=gnu11", "-O2", "-D_GNU_SOURCE", "-o", path, ...sources], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(`cannot compile ${name}: ${run.stderr}`);
  return path;
}
