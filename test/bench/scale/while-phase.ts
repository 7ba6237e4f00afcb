/** Runs a phase that lasts until it is told to end, while somebody looks at what that costs. */
import { spawn } from "node:child_process";
import { BenchError } from "../bench-error.js";
import { loadArguments, type LoadOptions, type LoadResult } from "../phases/load-generator.js";

interface Phase extends LoadOptions {
  program: string;
  name: "hold-open" | "hold-locks" | "look-beside";
}

/** Runs `look` once the phase says "open", and ends it after that. @throws BenchError where the phase fails */
export async function whilePhase<Looked>(
  phase: Phase,
  look: () => Looked | Promise<Looked>,
): Promise<{ looked: Looked; result: LoadResult }> {
  const { program, name, ...options } = phase;
  const child = spawn(program, loadArguments(name, options), { stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  let result = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (result += text));
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const opened = new Promise<boolean>((resolve) => {
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (said.includes("open\n")) resolve(true);
    });
    child.on("close", () => resolve(false));
  });
  const end = async (): Promise<void> => {
    child.stdin.end();
    const code = await ended;
    if (code !== 0) throw new BenchError(1, `${name}: exit code ${code}: ${said.trim()}`);
  };
  if (!(await opened)) await end();
  let looked: Looked;
  try {
    looked = await look();
  } finally {
    await end();
  }
  return { looked, result: JSON.parse(result) as LoadResult };
}
