// The time of `sluice diff` and `sluice apply` of many changed files, beside `cp -a` of the same files: medians, and the medians of the
// ratios within a round.
//
//   node test/bench/costs/review-costs.mjs [files] [rounds]
//
// Each round begins with a new directory, and the copy comes first in every other round: a file system is slower after something was removed
// from it. `cp -a` leaves its files to the kernel to write; the times of "cp+sync" are those of a copy that is on disk, as an apply is. The
// upper layer is written directly, with the mark of a copy-up on each file, since the copy-ups of a mount are another measurement.
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { native } from "@sluice/native";
import { AT } from "@sluice/vfs";

const [files = 10_000, rounds = 5] = process.argv.slice(2).map(Number);
const CLI = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));
const KIB = "a line of text, of thirty-two B\n".repeat(32);
const MOST_KIB = 16;
const IN_ONE_DIRECTORY = 100;
const ORIGIN = `${process.geteuid?.() === 0 ? "trusted" : "user"}.overlay.origin`;
const MARK = Buffer.alloc(29, 1);

/** @typedef {"cp" | "cp+sync" | "diff" | "apply"} Measured */
/** @type {Record<Measured, number[]>} */
const times = { cp: [], "cp+sync": [], diff: [], apply: [] };

/** @param {string} at */
const inBase = (at) => ({
  cwd: join(at, "base"),
  env: { ...process.env, XDG_STATE_HOME: join(at, "state"), HOME: join(at, "home") },
});

/** @param {string} at @param {Measured} what @param {readonly [string, ...string[]]} argv */
function time(at, what, [program, ...words]) {
  execFileSync("sync");
  const begun = performance.now();
  execFileSync(program, words, { ...inBase(at), stdio: ["ignore", "ignore", "inherit"] });
  times[what].push(performance.now() - begun);
}

/** @param {string} at */
function copy(at) {
  time(at, "cp", ["cp", "-a", join(at, "state/sluice/sessions/one/upper"), join(at, "copy")]);
  const copied = times.cp.at(-1) ?? 0;
  const unsynced = performance.now();
  execFileSync("sync", ["-f", join(at, "copy")]);
  times["cp+sync"].push(copied + performance.now() - unsynced);
}

/** @param {string} at */
function plant(at) {
  for (const name of ["base", "home", "state"]) mkdirSync(join(at, name));
  const names = Array.from({ length: files }, (_, file) => `d${Math.floor(file / IN_ONE_DIRECTORY)}/f${file}`);
  for (const [file, name] of names.entries()) {
    if (file % IN_ONE_DIRECTORY === 0) mkdirSync(join(at, "base", name, ".."));
    writeFileSync(join(at, "base", name), `${file}\n${KIB.repeat(1 + (file % MOST_KIB))}`);
  }
  execFileSync(process.execPath, [CLI, "run", "--name", "one", "--json", "--", "true"], { ...inBase(at), stdio: "ignore" });
  const upper = join(at, "state/sluice/sessions/one/upper");
  execFileSync("cp", ["-a", `${join(at, "base")}/.`, upper]);
  for (const name of names) {
    appendFileSync(join(upper, name), "changed\n");
    native.setxattrat(AT.FDCWD, join(upper, name), ORIGIN, MARK, 0);
  }
}

const before = loadavg()[0] ?? 0;
for (let round = 0; round < rounds; round++) {
  const at = mkdtempSync(join(tmpdir(), "review-costs-"));
  try {
    plant(at);
    if (round % 2 === 0) copy(at);
    time(at, "diff", [process.execPath, CLI, "diff", "one"]);
    time(at, "apply", [process.execPath, CLI, "apply", "one"]);
    if (round % 2 === 1) {
      execFileSync(process.execPath, [CLI, "undo", "one"], { ...inBase(at), stdio: "ignore" });
      copy(at);
    }
  } finally {
    rmSync(at, { recursive: true, force: true });
  }
}

/** @param {readonly number[]} values */
const median = (values) => values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
/** @param {readonly number[]} values @param {Measured} base */
const against = (values, base) => median(values.map((value, round) => value / (times[base][round] ?? Number.NaN))).toFixed(2);

console.log(`${files} files, ${rounds} rounds, load average ${before.toFixed(2)} before and ${(loadavg()[0] ?? 0).toFixed(2)} after`);
for (const [what, values] of Object.entries(times)) {
  const row = [what.padEnd(8), `${median(values).toFixed(0).padStart(7)} ms`, `${against(values, "cp")} of cp`];
  console.log(`${row.join("  ")}, ${against(values, "cp+sync")} of cp+sync`);
}
