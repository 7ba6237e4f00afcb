/** Builds a test's C program once for each test file. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cleanUpAfterFile } from "@sluice/testkit";

const built = new Map<string, string>();

/** Returns the program's path; `name` is that of its source beside this file, without .c. */
export function compiled(name: string, flags: readonly string[] = []): string {
  const known = built.get(name);
  if (known !== undefined) return known;
  const directory = mkdtempSync(join(process.env["SLUICE_TEST_ROOT"] ?? tmpdir(), "sluice-passthrough-cc-"));
  chmodSync(directory, 0o755);
  const path = join(directory, name);
  built.set(name, path);
  cleanUpAfterFile(() => {
    rmSync(directory, { recursive: true, force: true });
    built.delete(name);
  });
  const source = fileURLToPath(new URL(`./${name}.c`, import.meta.url));
  const run = spawnSync("cc", ["-O1", "-Wall", "-o", path, source, ...flags], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(`cannot compile ${name}.c: ${run.stderr}`);
  return path;
}
