/** A TypeScript build in the merged view: compiler and type packages from the lower layer, output into the upper. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { COPIED_PACKAGES, PROJECT } from "./git-project.js";
import { runCommand } from "./run-command.js";
import type { BuildOutput, ViewInput } from "./task-table.js";

export function buildTypescript({ mountPoint }: ViewInput): BuildOutput {
  const project = join(mountPoint, PROJECT);
  runCommand(process.execPath, [join(mountPoint, "typescript/bin/tsc"), "-b", "."], { cwd: project });
  const outputs = COPIED_PACKAGES.flatMap((name) =>
    readdirSync(join(project, "packages", name, "dist"), { recursive: true, encoding: "utf8" }),
  );
  // The build runs, and finds its sibling through the view.
  const program = `const built = await import(${JSON.stringify(join(project, "packages/fuse-protocol/dist/index.js"))}); console.log(Object.keys(built).length)`;
  const answer = runCommand(process.execPath, ["--input-type=module", "--eval", program], { cwd: project }).trim();
  return { outputs: outputs.length, answer: `${answer} exports loaded` };
}
