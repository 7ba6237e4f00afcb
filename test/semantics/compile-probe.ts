/** Compiles the probe with the machine's C compiler, and lists its rules. */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { scratch } from "@sluice/testkit";

const SOURCES = fileURLToPath(new URL("./probe/", import.meta.url));

export interface Probe {
  program: string;
  rules: readonly string[];
}

export function compileProbe(): Probe {
  const program = join(scratch(), "probe");
  const sources = readdirSync(SOURCES).filter((name) => name.endsWith(".c"));
  execFileSync("cc", ["-O1", "-Wall", "-D_GNU_SOURCE", "-o", program, ...sources.map((name) => join(SOURCES, name))], { stdio: "pipe" });
  const rules = execFileSync(program, { encoding: "utf8" }).trim().split("\n");
  return { program, rules };
}
