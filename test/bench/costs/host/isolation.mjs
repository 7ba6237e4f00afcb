// The time of a stat on one mount, without and with trouble on another one.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CLI } from "./host-service.mjs";
import { startWorker } from "./workers.mjs";

/** @typedef {import("./host-service.mjs").HostService} HostService */
/** `say`: prints a line. @typedef {{ caller: string, places: readonly string[], say: (text: string) => void }} Given */
/** @typedef {{ name: string, work: "open" | "hang", place: string, count: number }} Trouble */

const LOOK_PAUSE_US = 2_000;
const LOOK_MS = 4_000;

/** @param {number} value */
const us = (value) => `${value.toFixed(0)} µs`;

/** A decision service that can be made to hang. @param {HostService} host */
async function startDecisions(host) {
  const [policy, target] = [join(host.at, "hanging.yaml"), `unix://${join(host.at, "hanging.sock")}`];
  writeFileSync(policy, "version: 1\ndefault: grant\n");
  const child = spawn(process.execPath, [CLI, "decision", "--policy", policy, "--listen", target], { stdio: ["ignore", "pipe", "ignore"] });
  await once(child.stdout, "data");
  return { target, hang: () => child.kill("SIGSTOP"), end: () => child.kill("SIGKILL") };
}

/** @param {string} caller @param {string} place */
async function lookAt(caller, place) {
  const worker = startWorker(caller, "look", LOOK_PAUSE_US, [place]);
  await sleep(500);
  await worker.ask();
  await sleep(LOOK_MS);
  const times = await worker.ask();
  await worker.end();
  return times;
}

/** @param {Given} given @param {string} quiet the mount that is looked at @param {Trouble} trouble @returns {Promise<[string, string, string]>} */
async function beside({ caller, say }, quiet, { name, work, place, count }) {
  const before = await lookAt(caller, quiet);
  const workers = Array.from({ length: count }, () => startWorker(caller, work, work === "hang" ? 10_000 : 0, [place]));
  await sleep(500);
  const times = await lookAt(caller, quiet);
  for (const worker of workers) await worker.end();
  const median = `median ${us(before.medianUs)} and ${us(times.medianUs)}`;
  const p99 = `${us(before.p99Us)} and ${us(times.p99Us)}: ${(times.p99Us / before.p99Us).toFixed(2)}`;
  say(`stat, quiet and while ${name}: ${median}, p99 ${p99}`);
  return [`p99 of a stat, quiet and while ${name}`, "≤ 2 of quiet", `${p99}; ${median}`];
}

/** A mount of the peer. @param {string} base a new directory */
function mountPeer(base) {
  const [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map((name) => join(base, name));
  for (const directory of [lower, upper, work, merged]) mkdirSync(String(directory), { recursive: true });
  for (const name of ["word", "other"]) writeFileSync(join(String(lower), name), "word");
  execFileSync("fuse-overlayfs", ["-o", `lowerdir=${lower},upperdir=${upper},workdir=${work}`, String(merged)], { stdio: "ignore" });
  return String(merged);
}

/** The share of the callers and of the scheduler in these figures: nothing is shared here but the processors. @param {Given} given @param {string} at */
async function besidePeers(given, at) {
  /** @type {string[]} */
  const mounts = [];
  try {
    for (const name of ["loaded", "quiet"]) mounts.push(mountPeer(join(at, `peer-${name}`)));
    const [loaded = "", quiet = ""] = mounts;
    const named = (/** @type {number} */ count) => `${count} process${count > 1 ? "es load" : " loads"} another, both of fuse-overlayfs`;
    const rows = [];
    for (const count of [1, 4]) rows.push(await beside(given, quiet, { name: named(count), work: "open", place: loaded, count }));
    return rows;
  } catch (error) {
    given.say(`two mounts of fuse-overlayfs: not measured: ${/** @type {Error} */ (error).message}`);
    return [];
  } finally {
    for (const mount of mounts) execFileSync("umount", [mount]);
  }
}

/** @param {HostService} host @param {Given} given two places at least @returns {Promise<[string, string, string][]>} rows: measurement, goal, figures */
export async function measureIsolation(host, given) {
  const [loaded = "", quiet = ""] = given.places;
  const decisions = await startDecisions(host);
  const hung = await host.mount({ options: { decision: decisions.target, "decision-timeout": "60s" } });
  const failing = await host.mount({ options: { decision: `unix://${host.at}/nobody.sock`, "decision-timeout": "100ms" } });
  decisions.hang();
  /** @type {Trouble[]} */
  const troubles = [
    { name: "another waits for its decisions", work: "hang", place: hung, count: 2 },
    { name: "another's opens fail", work: "open", place: failing, count: 1 },
    { name: "one process loads another", work: "open", place: loaded, count: 1 },
    { name: "four processes load another", work: "open", place: loaded, count: 4 },
  ];
  const rows = [];
  for (const trouble of troubles) rows.push(await beside(given, quiet, trouble));
  decisions.end();
  return [...rows, ...(await besidePeers(given, host.at))];
}
