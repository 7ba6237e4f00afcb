// Runs `npm test`: every test this machine can run, real mounts included, then a look for leavings.
// Arguments are passed to vitest: `npm test -- packages/vfs`. Ends with `N passed, N failed, N skipped`.
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { buildOrExit, giveUp, root } from "./build.mjs";
import { clearLeaks, findLeaks } from "./tests/leaks.mjs";
import { runInPrivate } from "./tests/private-scratch.mjs";
import { makePrograms } from "./tests/programs.mjs";
import { describeSkips, summarize } from "./tests/summary.mjs";
import { plannedRuns, readReports, VitestRuns } from "./tests/vitest-runs.mjs";

// With everything installed it takes some 15 minutes on two processors that have nothing else to do.
const LIMIT_MS = Number(process.env["SLUICE_TEST_LIMIT_SECONDS"] ?? 2700) * 1000;
// A process that was told to end as the last test finished gets this long to be gone, on a machine that does much else.
const SETTLE_MS = 30_000;

/** Set if this script was started by itself, once more, in a mount namespace of its own: then all this is there. */
const BASE = process.env["SLUICE_TEST_BASE"];

/** A test file starts few programs: joining their modules takes longer than starting them from dist/. */
function needsBundle(/** @type {readonly string[]} */ argv) {
  const paths = argv.filter((argument) => !argument.startsWith("-"));
  return paths.length === 0 || paths.some((path) => path.startsWith("test/") && !path.endsWith(".test.ts"));
}

/**
 * Has ext4 place each scratch directory in another block group (chattr(1), T). Without a journal ext4 does not reuse an inode that
 * was deleted in the last minutes, and looks at all such inodes of the group whenever it creates one (recently_deleted of
 * fs/ext4/ialloc.c): after some thousand deletions a file takes fifty times as long to create. Elsewhere the flag does nothing.
 * @param {string} directory
 */
function spreadOverGroups(directory) {
  spawnSync("chattr", ["+T", directory], { stdio: "ignore" });
}

/** Everything of this run lies below it. @returns {Promise<never>} */
async function withScratchBase() {
  const above = process.env["SLUICE_TEST_ROOT"] ?? tmpdir();
  if (statSync(above, { throwIfNoEntry: false })?.isDirectory() !== true)
    giveUp(`SLUICE_TEST_ROOT: ${above} is no directory: make it, or name another one`);
  buildOrExit(needsBundle(process.argv.slice(2)) ? ["addon", "types", "bundle"] : ["addon", "types"]);
  const base = mkdtempSync(join(above, "sluice-"));
  // Decision services drop to another user and must still reach their socket below it.
  chmodSync(base, 0o755);
  const argv = [fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  const code = await runInPrivate(base, argv, { ...process.env, SLUICE_TEST_BASE: base });
  rmSync(base, { recursive: true, force: true });
  process.exit(code);
}

const scratchBase = BASE ?? (await withScratchBase());
const run = { id: randomUUID(), scratchRoot: join(scratchBase, "t") };
mkdirSync(run.scratchRoot, { mode: 0o755 });
spreadOverGroups(run.scratchRoot);
const steps = plannedRuns(process.argv.slice(2), scratchBase);
const programs = join(scratchBase, "programs");
makePrograms(programs, process.env["PATH"] ?? "");
/** Nobody here ever reads it: if its access time moves, something outside reads what tests compare the access times of. */
const witness = join(scratchBase, "witness");
mkdirSync(witness);

/** @returns {Promise<number>} vitest's exit code */
async function runVitest() {
  // Node reads the certificates of the last one at each start of one of the many processes, and no test asks anybody outside.
  const env = {
    ...process.env,
    SLUICE_TEST_RUN: run.id,
    SLUICE_TEST_ROOT: run.scratchRoot,
    SLUICE_TEST_PROGRAMS: programs,
    SLUICE_TEST_PATH: process.env["PATH"],
    PATH: `${join(programs, "base")}:${join(programs, "undeclared")}`,
    NODE_EXTRA_CA_CERTS: undefined,
  };
  const runs = new VitestRuns(root, env);
  const limit = setTimeout(() => cutOff(runs), LIMIT_MS);
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) process.on(signal, () => runs.end(signal));
  const code = await runs.run(steps);
  clearTimeout(limit);
  return code;
}

/** @param {VitestRuns} runs */
function cutOff(runs) {
  console.error(`\nthe tests took longer than ${LIMIT_MS / 1000} s (SLUICE_TEST_LIMIT_SECONDS); still there:`);
  for (const leak of findLeaks(run)) console.error(`  ${leak}`);
  runs.cutOff();
}

async function lastingLeaks() {
  const deadlineMs = Date.now() + SETTLE_MS;
  let leaks = findLeaks(run);
  while (leaks.length > 0 && Date.now() < deadlineMs) {
    await sleep(100);
    leaks = findLeaks(run);
  }
  return leaks;
}

/** @returns {import("./tests/summary.mjs").Summary} */
function readSummary() {
  try {
    return summarize(readReports(steps.flat()), root);
  } catch {
    return { passed: 0, failed: 1, skipped: 0, skips: new Map(), failures: ["a run of vitest wrote no report: its messages are above"] };
  }
}

/** @param {string} heading @param {readonly string[]} lines */
function print(heading, lines) {
  if (lines.length > 0) console.log(`\n${heading}\n${lines.map((line) => `  ${line}`).join("\n")}`);
}

const exitCode = await runVitest();
const summary = readSummary();
const leaks = await lastingLeaks();
// Both are the time of its making until somebody reads it.
const { atimeMs, mtimeMs } = statSync(witness);
const outsiders = atimeMs === mtimeMs ? [] : [`${scratchBase}: have searches, indexers and backups leave it alone`];
clearLeaks(run);
// The directory itself is the mount, and goes with its maker.
for (const name of readdirSync(scratchBase)) rmSync(join(scratchBase, name), { recursive: true, force: true });

/** If tests are chosen by name, the others are skipped for no lack of the machine. */
const chosenByName = process.argv.some((argument) => /^(-t|--testNamePattern)\b/.test(argument));
const unexplained = chosenByName ? [] : (summary.skips.get("") ?? []);
print("skipped", describeSkips(summary));
print("skipped without a requirement: use requires() of @sluice/testkit", unexplained);
print("left behind, and cleared now", leaks);
print("something outside read the scratch directory: layers that tests compare may have been touched by it", outsiders);
print("failed", summary.failures);
const failed = summary.failed + unexplained.length + (leaks.length > 0 ? 1 : 0);
console.log(`\n${summary.passed} passed, ${failed} failed, ${summary.skipped - unexplained.length} skipped`);
process.exitCode = failed > 0 || exitCode !== 0 || summary.passed === 0 ? 1 : 0;
