// The work of a server for each operation: processor time of all its threads, and system calls. Sluice without a policy and without idle
// polling is measured side by side with fuse-overlayfs.
//
//   node test/bench/costs/server-costs.mjs [rounds] [--busy] [--one-processor] [--against CHECKOUT] [--phases A,B]
//
// Layers lie on the file system of the temporary directory: two lower ones, whose upper one overrides a tenth of the names, and an upper
// layer. In each round every subject has its turn at each phase, and ratios are medians of the ratios within a round. --busy keeps
// another program at work on the last processor all the time. --one-processor keeps servers and callers on the first one: a server beside
// a busy processor mostly shares its caller's, but not in each run, and the two places differ by a factor of three.
// --against also measures another built checkout, as "before".
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: options, positionals } = parseArgs({
  options: {
    busy: { type: "boolean" },
    "one-processor": { type: "boolean" },
    against: { type: "string" },
    phases: { type: "string" },
  },
  allowPositionals: true,
});
const rounds = Number(positionals[0] ?? 7);
const CLI = "packages/cli/bin/sluice.cjs";
const HERE = fileURLToPath(new URL("../../../", import.meta.url));
const LOAD_SOURCES = fileURLToPath(new URL("../load/", import.meta.url));
const FILES = 2_000;
/** Used up by each round. */
const COPIED = 300;
const WARM_UPS = 4;
const READY_MS = 30_000;

/** @typedef {{ name: string, place: string, pid: number }} Subject */
/** @typedef {{ ns: number[], elapsedNs: number[], calls: number }} Result */
/** @typedef {{ load: string, folder: string, files: number, options?: (subject: Subject, turn: number) => string[] }} Phase */

/** @param {Subject} subject */
const cold = ({ place }) => ["-c", place];
/** @param {Subject} _subject @param {number} turn */
const fresh = (_subject, turn) => ["-t", `r${turn}`];
/** @param {Subject} _subject @param {number} turn */
const usedUp = (_subject, turn) => ["-f", String(turn * COPIED)];

/** @type {Record<string, Phase>} */
const PHASES = {
  "stat, name not cached": { load: "stat", folder: "tree", files: FILES, options: cold },
  "missing name": { load: "missing", folder: "tree", files: FILES, options: fresh },
  "open and close": { load: "open", folder: "tree", files: FILES },
  "first listing, a name": { load: "readdir", folder: "tree", files: FILES, options: cold },
  "listing and stat, a name": { load: "walk", folder: "tree", files: FILES, options: cold },
  create: { load: "create", folder: "scratch", files: 1_000, options: fresh },
  mkdir: { load: "mkdir", folder: "scratch", files: 1_000, options: fresh },
  rename: { load: "rename", folder: "scratch", files: 1_000, options: fresh },
  chmod: { load: "chmod", folder: "scratch", files: 1_000, options: fresh },
  unlink: { load: "unlink", folder: "scratch", files: 1_000, options: fresh },
  "copy-up of 4 KiB": { load: "copy-up", folder: "copied", files: COPIED, options: usedUp },
};
const chosen = Object.keys(PHASES).filter(
  (name) => options.phases === undefined || options.phases.split(",").some((part) => name.includes(part)),
);

/** @param {number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
/** @param {number[]} values */
const geometricMean = (values) => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/** @param {number} ns */
const us = (ns) => (ns / 1000).toFixed(1);

const at = mkdtempSync(join(tmpdir(), "sluice-server-"));
/** @type {(() => unknown)[]} */
const undo = [() => rmSync(at, { recursive: true, force: true })];
const load = join(at, "load");
execFileSync("cc", [
  "-O2",
  "-std=gnu11",
  "-D_GNU_SOURCE",
  "-o",
  load,
  ...readdirSync(LOAD_SOURCES)
    .filter((name) => name.endsWith(".c"))
    .map((name) => join(LOAD_SOURCES, name)),
]);

function plantLayers() {
  const [base, top] = [join(at, "base"), join(at, "top")];
  for (const [folder, files] of /** @type {const} */ ([
    ["tree", FILES],
    ["copied", (rounds + WARM_UPS + 1) * COPIED],
  ])) {
    mkdirSync(join(base, folder), { recursive: true });
    execFileSync(load, ["plant", join(base, folder), "-n", String(files), "-s", "4096"], { stdio: "ignore" });
  }
  mkdirSync(join(base, "scratch"));
  for (let index = 0; index < FILES; index += 10) {
    const folder = join(top, "tree", `d${String(Math.floor(index / 100)).padStart(3, "0")}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `f${String(index).padStart(5, "0")}`), "y".repeat(4096));
  }
  return `${top}:${base}`;
}

/** The command on the first processor, if that is wanted. @param {string} file @param {string[]} argv @returns {[string, string[]]} */
const placed = (file, argv) => (options["one-processor"] === true ? ["taskset", ["-c", "0", file, ...argv]] : [file, argv]);

/** @param {string} place */
const isMounted = (place) => execFileSync("cat", ["/proc/self/mounts"], { encoding: "latin1" }).includes(` ${place} fuse`);

/** @param {string} name @param {(layers: { upper: string, work: string, place: string }) => [string, string[]]} command */
async function mounted(name, command) {
  const folder = join(at, name);
  const layers = { upper: join(folder, "upper"), work: join(folder, "work"), place: join(folder, "merged") };
  for (const path of Object.values(layers)) mkdirSync(path, { recursive: true });
  const [file, argv] = placed(...command(layers));
  const child = spawn(file, argv, { stdio: "ignore", env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined } });
  undo.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    await gone;
  });
  for (let waitedMs = 0; !isMounted(layers.place); waitedMs += 50) {
    if (child.exitCode !== null || waitedMs > READY_MS) throw new Error(`${name} did not mount`);
    await sleep(50);
  }
  return { name, place: layers.place, pid: Number(child.pid) };
}

/** @param {string} checkout @param {string} lowers @returns {(layers: { upper: string, work: string, place: string }) => [string, string[]]} */
function sluiceOf(checkout, lowers) {
  return ({ upper, work, place }) => {
    const serving = ["--keeper", "off", "--idle-polling", "off", "--log-level", "error"];
    return [process.execPath, [join(checkout, CLI), "mount", "--lower", lowers, "--upper", upper, "--work", work, ...serving, place]];
  };
}

/** Nanoseconds, or calls, of the server for one operation. @param {Subject} subject @param {Phase} phase @param {number} turn @param {"-w" | "-W"} what */
function measure(subject, phase, turn, what) {
  const directory = join(subject.place, phase.folder);
  const argv = [phase.load, directory, "-n", String(phase.files), what, String(subject.pid), ...(phase.options?.(subject, turn) ?? [])];
  const { operations, elapsedNs, serverNs, serverCalls } = JSON.parse(execFileSync(...placed(load, argv), { encoding: "latin1" }));
  return { work: (what === "-w" ? serverNs : serverCalls) / operations, elapsedNs: elapsedNs / operations };
}

/** The last turn counts calls. @param {Subject} subject @param {string} name @param {number} turn */
const measureIn = (subject, name, turn) => measure(subject, /** @type {Phase} */ (PHASES[name]), turn, isLast(turn) ? "-W" : "-w");
/** @param {number} turn */
const isLast = (turn) => turn === rounds + WARM_UPS;

/** @param {Result} result @param {number} turn @param {ReturnType<typeof measure>} measured */
function note(result, turn, { work, elapsedNs }) {
  if (isLast(turn)) result.calls = work;
  else if (turn >= WARM_UPS) {
    result.ns.push(work);
    result.elapsedNs.push(elapsedNs);
  }
}

/** @param {readonly Subject[]} subjects */
function measureAll(subjects) {
  /** @type {Record<string, Record<string, Result>>} */
  const results = {};
  for (const name of chosen) results[name] = Object.fromEntries(subjects.map((each) => [each.name, { ns: [], elapsedNs: [], calls: NaN }]));
  for (let turn = 0; turn <= rounds + WARM_UPS; turn++) {
    for (const name of chosen) {
      for (let position = 0; position < subjects.length; position++) {
        const subject = /** @type {Subject} */ (subjects[(position + turn) % subjects.length]);
        const result = /** @type {Result} */ (results[name]?.[subject.name]);
        note(result, turn, measureIn(subject, name, turn));
      }
    }
  }
  return results;
}

/** Ratios of the first over the second, within each round. @param {number[]} first @param {number[]} second */
const ratio = (first, second) => median(first.map((value, round) => value / /** @type {number} */ (second[round])));

/** @param {ReturnType<typeof measureAll>} results @param {readonly Subject[]} subjects */
function report(results, subjects) {
  const others = subjects.filter(({ name }) => name !== "sluice").map(({ name }) => name);
  console.log(["| operation", ...subjects.map(({ name }) => name), ...others.map((name) => `${name} / sluice`)].join(" | ") + " |");
  console.log(`|${"---|".repeat(1 + subjects.length + others.length)}`);
  /** @type {Record<string, number[]>} */
  const all = {};
  for (const [name, row] of Object.entries(results)) {
    const sluice = row["sluice"]?.ns ?? [];
    const costs = subjects.map((each) => {
      const { ns, elapsedNs, calls } = /** @type {Result} */ (row[each.name]);
      return `${us(median(ns))} (${us(median(elapsedNs))}), ${calls.toFixed(1)}`;
    });
    const ratios = others.map((other) => {
      const found = ratio(row[other]?.ns ?? [], sluice);
      (all[other] ??= []).push(found);
      return found.toFixed(2);
    });
    console.log(`| ${[name, ...costs, ...ratios].join(" | ")} |`);
  }
  const means = others.map((other) => geometricMean(all[other] ?? []).toFixed(2));
  console.log(`| ${["geometric mean", ...subjects.map(() => ""), ...means].join(" | ")} |`);
  const place = options["one-processor"] === true ? ", servers and callers on one processor" : "";
  const loads = loadavg().map((value) => value.toFixed(1));
  console.log(
    `load ${loads.join(" ")}, ${rounds} rounds, ${options.busy === true ? "a program at work on the last processor" : "no other program of this run"}${place}`,
  );
}

function keepBusy() {
  const spinner = spawn("taskset", ["-c", String(cpus().length - 1), process.execPath, "-e", "for (;;);"], { stdio: "ignore" });
  undo.push(() => spinner.kill("SIGKILL"));
}

async function main() {
  const lowers = plantLayers();
  const subjects = [await mounted("sluice", sluiceOf(HERE, lowers))];
  if (options.against !== undefined) subjects.push(await mounted("before", sluiceOf(options.against, lowers)));
  subjects.push(
    await mounted("fuse-overlayfs", ({ upper, work, place }) => [
      "fuse-overlayfs",
      ["-f", "-o", `lowerdir=${lowers},upperdir=${upper},workdir=${work}`, place],
    ]),
  );
  if (options.busy === true) keepBusy();
  report(measureAll(subjects), subjects);
}

try {
  await main();
} finally {
  for (const step of undo.reverse()) await step();
}
