/** Compiles the test's modules, since the calling processes cannot load TypeScript. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL("..", import.meta.url));

export function compilePrograms(): void {
  execFileSync(process.execPath, [`${HERE}../../node_modules/typescript/bin/tsc`, "-p", HERE], { stdio: "inherit" });
}
