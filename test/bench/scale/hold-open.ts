/** Keeps many files open while somebody looks at what that costs. */
import { spawn } from "node:child_process";
import { BenchError } from "../bench-error.js";
import { loadArguments, type LoadOptions } from "../phases/load-generator.js";

/** Runs `look` while all files are open. @throws BenchError where they cannot be opened */
export async function holdOpen(program: string, options: LoadOptions, look: () => number): Promise<number> {
  const child = spawn(program, loadArguments("hold-open", options), { stdio: ["pipe", "ignore", "pipe"] });
  let said = "";
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const opened = new Promise<boolean>((resolve) => {
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (said.includes("open\n")) resolve(true);
    });
    child.on("close", () => resolve(false));
  });
  const looked = (await opened) ? look() : Number.NaN;
  child.stdin.end();
  const code = await ended;
  if (code !== 0) throw new BenchError(1, `hold-open: exit code ${code}: ${said.trim()}`);
  return looked;
}
