// Mounts at work at the same time, in a host service of one process and in one of two: the time that the mounts together take for a call,
// and the memory of both services.
//
//   node test/bench/costs/host-processes.mjs [rounds] [mounts]
//
// Each mount has one lower layer of 2,000 files and an upper one. A program in C (test/bench/load) works on each, all at the same time, with
// one client and with eight. Both services run all the time, and take turns within a round; ratios are medians of the rounds.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { HostService } from "./host/host-service.mjs";

const [rounds = 7, mounts = 2] = process.argv.slice(2, 4).map(Number);
const SOURCES = fileURLToPath(new URL("../load/", import.meta.url));
const FILES = 2_000;
/** A standby is started two seconds after a server serves, and loads. */
const STANDBY_MS = 6_000;

/** @typedef {{ load: string, folder: string, args: (turn: string) => string[] }} Phase */
/** @type {Record<string, Phase>} */
const PHASES = {
  "open and close": { load: "open", folder: "tree", args: () => ["-l", "5"] },
  "missing name": { load: "missing", folder: "tree", args: (turn) => ["-t", turn] },
  create: { load: "create", folder: "scratch", args: (turn) => ["-t", turn] },
};
const CLIENTS = [1, 8];

const at = mkdtempSync(join(tmpdir(), "host-processes-"));
const load = join(at, "load");
const sources = readdirSync(SOURCES).filter((name) => name.endsWith(".c"));
execFileSync("cc", ["-O2", "-std=gnu11", "-D_GNU_SOURCE", "-o", load, ...sources.map((name) => join(SOURCES, name))]);

/** @param {number} count of processes */
async function startService(count) {
  const directory = join(at, `processes-${count}`);
  mkdirSync(directory);
  const host = await HostService.start(directory, "on", ["--processes", String(count)]);
  const places = [];
  for (let number = 0; number < mounts; number++) {
    const place = await host.mount();
    mkdirSync(join(place, "scratch"));
    mkdirSync(join(place, "tree"));
    execFileSync(load, ["plant", join(place, "tree"), "-n", String(FILES), "-s", "10"], { stdio: "ignore" });
    places.push(place);
  }
  return { host, places };
}

/** Microseconds a call of all mounts together. @param {readonly string[]} places @param {Phase} phase @param {number} clients @param {string} turn */
async function work(places, phase, clients, turn) {
  const runs = places.map(async (place) => {
    const argv = [phase.load, join(place, phase.folder), "-n", String(FILES), "-p", String(clients), ...phase.args(turn)];
    const child = spawn(load, argv, { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (text) => (output += text));
    await once(child, "close");
    return /** @type {{ operations: number, elapsedNs: number }} */ (JSON.parse(output));
  });
  const all = await Promise.all(runs);
  const operations = all.reduce((sum, one) => sum + one.operations, 0);
  return Math.max(...all.map(({ elapsedNs }) => elapsedNs)) / operations / 1_000;
}

/** The times of both services in each round but the first, which warms up. @param {Phase} phase @param {number} clients */
async function measure(phase, clients) {
  const times = [];
  for (let round = 0; round <= rounds; round++) {
    const [one, two] = [
      await work(placesOf(0), phase, clients, `${clients}-${round}`),
      await work(placesOf(1), phase, clients, `${clients}-${round}`),
    ];
    times.push({ one, two, ratio: one / two });
  }
  return times.slice(1);
}

/** @param {number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

const services = [await startService(1), await startService(2)];
/** @param {number} which */
const placesOf = (which) => services[which]?.places ?? [];
try {
  await sleep(STANDBY_MS);
  const [one = 0, two = 0] = services.map(({ host }) => host.pss() / 1024);
  console.log(`memory with ${mounts} mounts: one process ${one.toFixed(0)} MiB, two ${two.toFixed(0)} MiB`);
  console.log(
    `\n| ${mounts} mounts at work | clients of each | one process | two processes | calls of two over one |\n|---|---|---|---|---|`,
  );
  for (const [name, phase] of Object.entries(PHASES)) {
    for (const clients of CLIENTS) {
      const times = await measure(phase, clients);
      const [first, second] = [median(times.map(({ one }) => one)), median(times.map(({ two }) => two))];
      const ratio = median(times.map((each) => each.ratio));
      console.log(`| ${name} | ${clients} | ${first.toFixed(1)} µs | ${second.toFixed(1)} µs | ${ratio.toFixed(2)} |`);
    }
  }
  console.log(
    `load ${loadavg()
      .map((each) => each.toFixed(1))
      .join(" ")}, ${rounds} rounds`,
  );
} finally {
  for (const { host } of services) await host.end();
  rmSync(at, { recursive: true, force: true });
}
