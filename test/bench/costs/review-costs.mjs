// The time of `sluice diff` and `sluice apply` of many changed files, beside `cp -a` of the same files: the ratios of the medians.
//
//   node test/bench/costs/review-costs.mjs [files] [rounds]
//
// Each round begins with a new directory, and the order of the programs changes from round to round: a file system is slower after
// something was removed from it. The upper layer is written directly, since the copy-ups of a mount are another measurement.
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const [files = 10_000, rounds = 5] = process.argv.slice(2).map(Number);
const CLI = fileURLToPath(new URL("../../../packages/cli/bin/sluice.mjs", import.meta.url));
const LINES = "a line of some file\n".repeat(40);
const IN_ONE_DIRECTORY = 100;

/** @type {Record<"cp" | "diff" | "apply", number[]>} */
const times = { cp: [], diff: [], apply: [] };

/** @param {string} at @param {"cp" | "diff" | "apply"} what @param {readonly [string, ...string[]]} argv */
function time(at, what, [program, ...words]) {
  const env = { ...process.env, XDG_STATE_HOME: join(at, "state"), HOME: join(at, "home") };
  execFileSync("sync");
  const begun = performance.now();
  execFileSync(program, words, { cwd: join(at, "base"), env, stdio: ["ignore", "ignore", "inherit"] });
  times[what].push(performance.now() - begun);
}

/** @param {string} at */
function plant(at) {
  for (const name of ["base", "home", "state"]) mkdirSync(join(at, name));
  for (let file = 0; file < files; file++) {
    const directory = join(at, "base", `d${Math.floor(file / IN_ONE_DIRECTORY)}`);
    if (file % IN_ONE_DIRECTORY === 0) mkdirSync(directory);
    writeFileSync(join(directory, `f${file}`), `${file}\n${LINES}`);
  }
  const env = { ...process.env, XDG_STATE_HOME: join(at, "state"), HOME: join(at, "home") };
  execFileSync(process.execPath, [CLI, "run", "--name", "one", "--json", "--", "true"], { cwd: join(at, "base"), env, stdio: "ignore" });
  const upper = join(at, "state/sluice/sessions/one/upper");
  execFileSync("cp", ["-a", `${join(at, "base")}/.`, upper]);
  for (let file = 0; file < files; file++) appendFileSync(join(upper, `d${Math.floor(file / IN_ONE_DIRECTORY)}`, `f${file}`), "changed\n");
  return upper;
}

for (let round = 0; round < rounds; round++) {
  const at = mkdtempSync(join(tmpdir(), "review-costs-"));
  try {
    const upper = plant(at);
    const copy = () => time(at, "cp", ["cp", "-a", upper, join(at, "copy")]);
    if (round % 2 === 0) copy();
    time(at, "diff", [process.execPath, CLI, "diff", "one"]);
    time(at, "apply", [process.execPath, CLI, "apply", "one"]);
    if (round % 2 === 1) {
      execFileSync(process.execPath, [CLI, "undo", "one"], {
        cwd: join(at, "base"),
        env: { ...process.env, XDG_STATE_HOME: join(at, "state"), HOME: join(at, "home") },
        stdio: "ignore",
      });
      copy();
    }
  } finally {
    rmSync(at, { recursive: true, force: true });
  }
}

/** @param {readonly number[]} values */
const median = (values) => values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
const base = median(times.cp);
for (const [what, values] of Object.entries(times))
  console.log(`${what.padEnd(6)} ${median(values).toFixed(0).padStart(7)} ms   ${(median(values) / base).toFixed(2)} of cp -a`);
