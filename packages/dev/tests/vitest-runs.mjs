// The runs of vitest of one `npm test`. Files that mount one at a time leave a processor idle; tests that mount nothing fill it. vitest
// itself starts the files of a project only behind those of the project before, so two runs go beside each other.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";

/**
 * By step: projects of `vitest.config.ts` by run. The runs of a step go beside each other. One that `yields` leaves the processors to the
 * others while they want them, and the next step does not wait for it: files that mount one at a time make the length of the first step.
 * @type {readonly (readonly { projects: readonly string[], yields?: boolean }[])[]}
 */
const STEPS = [
  [{ projects: ["mount", "uring"] }, { projects: ["unit", "processes", "own-heap", "mountless"], yields: true }],
  [{ projects: ["mount-pairs"] }, { projects: ["mount-long"] }],
];

// A test blocked in a system call on a dead mount cannot time out by itself: after its mount is cut off, vitest gets this long to report it.
const GRACE_MS = 30_000;

/** Nice: a third of the share of others. With less, tests would not end within their limits if the machine does much else. */
const YIELDING = 5;

/** @typedef {{ argv: readonly string[], report: string, yields?: boolean }} Run */

/**
 * @param {readonly string[]} argv of `npm test`: if it names anything, one run does it all
 * @param {string} directory for the reports
 * @returns {readonly (readonly Run[])[]} by step
 */
export function plannedRuns(argv, directory) {
  let count = 0;
  const run = (/** @type {readonly string[]} */ more) => ({ argv: more, report: join(directory, `report-${count++}.json`) });
  if (argv.length > 0) return [[run(argv)]];
  const runOf = (/** @type {(typeof STEPS)[number][number]} */ { projects, yields = false }) => {
    return { ...run(projects.map((name) => `--project=${name}`)), yields };
  };
  return STEPS.map((step) => step.map(runOf));
}

/**
 * All tests of all runs, as one report.
 * @param {readonly Run[]} runs
 * @returns {import("./summary.mjs").Report}
 * @throws if one of them wrote none
 */
export function readReports(runs) {
  /** @type {import("./summary.mjs").Report[]} */
  const reports = runs.map(({ report }) => JSON.parse(readFileSync(report, "utf8")));
  return { success: reports.every(({ success }) => success), testResults: reports.flatMap(({ testResults }) => testResults) };
}

/** Children that can be told to end. */
export class VitestRuns {
  /** @type {Set<import("node:child_process").ChildProcess>} */
  #children = new Set();
  #isEnded = false;

  /** @param {string} root @param {NodeJS.ProcessEnv} env */
  constructor(root, env) {
    this.root = root;
    this.env = env;
  }

  /** @param {readonly (readonly Run[])[]} steps @returns {Promise<number>} the exit code of the first run that failed */
  async run(steps) {
    /** @type {Promise<number>[]} */
    const codes = [];
    for (const step of steps) {
      const started = step.map((run) => ({ code: this.#start(run), yields: run.yields === true }));
      codes.push(...started.map(({ code }) => code));
      await Promise.all(started.flatMap(({ code, yields }) => (yields ? [] : [code])));
    }
    return (await Promise.all(codes)).find((code) => code !== 0) ?? 0;
  }

  /** @param {Run} run @returns {Promise<number>} */
  #start({ argv, report, yields }) {
    if (this.#isEnded) return Promise.resolve(1);
    const words = ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...argv];
    const vitest = join(this.root, "node_modules/vitest/vitest.mjs");
    const child = spawn(process.execPath, [vitest, ...words], { cwd: this.root, env: this.env, stdio: "inherit" });
    this.#children.add(child);
    // Its threads and children, which do not exist yet, inherit it.
    if (yields && child.pid !== undefined) setPriority(child.pid, YIELDING);
    return new Promise((resolve) => {
      child.on("close", (code) => {
        this.#children.delete(child);
        resolve(code ?? 1);
      });
    });
  }

  /** No further run starts. @param {NodeJS.Signals} signal */
  end(signal) {
    this.#isEnded = true;
    for (const child of this.#children) child.kill(signal);
  }

  cutOff() {
    this.end("SIGTERM");
    setTimeout(() => this.end("SIGKILL"), GRACE_MS).unref();
  }
}
