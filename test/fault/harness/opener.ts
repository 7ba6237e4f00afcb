/** A process that opens files of a mount repeatedly, and counts the results: a load for the time of a failure. */
import { type RunningScript, startScript } from "@sluice/testkit";

/** The counts by path, then by result: "ok" or the errno's name. */
export type Outcomes = Record<string, Record<string, number>>;

const PROGRAM = `
import { closeSync, openSync, readFileSync } from "node:fs";
const [pauseMs, ...paths] = process.argv.slice(1);
const outcomes = Object.fromEntries(paths.map((path) => [path, {}]));
let going = true;
process.stdin.on("data", () => { going = false; }).on("end", () => { going = false; });
console.log("opening");
while (going) {
  for (const path of paths) {
    let outcome = "ok";
    try { closeSync(openSync(path, "r")); } catch (error) { outcome = error.code; }
    outcomes[path][outcome] = (outcomes[path][outcome] ?? 0) + 1;
  }
  await new Promise((resolve) => setTimeout(resolve, Number(pauseMs)));
}
console.log("outcomes " + JSON.stringify(outcomes));
process.exit();
`;

const PAUSE_MS = 2;

export class Opener {
  readonly #script: RunningScript;

  private constructor(script: RunningScript) {
    this.#script = script;
  }

  static async start(paths: readonly string[]): Promise<Opener> {
    const script = startScript(PROGRAM, { args: [String(PAUSE_MS), ...paths], timeoutMs: 150_000 });
    await script.waitFor("opening");
    return new Opener(script);
  }

  async stop(): Promise<Outcomes> {
    this.#script.write("stop");
    const { stdout } = await this.#script.finished;
    const line = stdout.split("\n").find((text) => text.startsWith("outcomes "));
    if (line === undefined) throw new Error(`the opener said no outcomes: ${stdout}`);
    return JSON.parse(line.slice("outcomes ".length)) as Outcomes;
  }
}
