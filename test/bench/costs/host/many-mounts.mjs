// Many mounts in one process: start, memory, isolation, and the kill of the serving process. It ends with all of them in one table.
//
//   node test/bench/costs/host/many-mounts.mjs [mounts] [policies] [kills] [memory,kills,isolation,timeline]
//
// Memory is the proportional set size (smaps_rollup) of all processes of the service with a keeper: keeper, server, standby and decision
// services. "After load": a thread for each mount has changed files on it for 15 seconds, and ended 5 seconds before. Kills have the same
// load: for each mount the longest call, and with "timeline" its end after the kill. Isolation is the time of a stat of an unknown name on one
// mount, without and with trouble on another one: the 99th percentile of some thousand, every 2 ms; then the same of two mounts of
// fuse-overlayfs, which have a process each. The callers are a program in C (caller.c), which takes little of the processors that it shares
// with the service.
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HostService } from "./host-service.mjs";
import { measureIsolation } from "./isolation.mjs";
import { compileCaller, startWorker } from "./workers.mjs";

const [mounts = 50, policies = 50, kills = 3] = process.argv.slice(2, 5).map(Number);
const parts = (process.argv[5] ?? "memory,kills,isolation").split(",");
const CHANGE_PAUSE_US = 20_000;
/** A standby is started two seconds after a server serves, and loads. */
const STANDBY_MS = 6_000;
const LOAD_MS = 15_000;
const REST_MS = 5_000;

/** @param {number} kib */
const mib = (kib) => `${(kib / 1024).toFixed(1)} MiB, ${(kib / 1024 / mounts).toFixed(2)} a mount`;
/** @param {number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
/** @param {string} text */
const say = (text) => console.log(`${text}; load ${loadavg()[0]?.toFixed(1)}`);

/** The rows of the table: measurement, goal, figures. @type {[string, string, string][]} */
const rows = [];

function printTable() {
  console.log(`\n| ${mounts} mounts, ${policies} policies | wanted | found |\n|---|---|---|`);
  for (const row of rows) console.log(`| ${row.join(" | ")} |`);
}

/** @param {HostService} host */
async function makeMounts(host) {
  const times = [];
  const places = [];
  const begun = performance.now();
  for (let number = 0; number < mounts; number++) {
    const start = performance.now();
    places.push(await host.mount({ policy: policies === 0 ? undefined : `policy-${number % policies}` }));
    times.push(performance.now() - start);
  }
  const whole = (performance.now() - begun) / 1000;
  say(`${mounts} mounts, ${policies} policies: made in ${whole.toFixed(1)} s, each ${median(times).toFixed(0)} ms (median)`);
  rows.push(["start of a mount: a call of `Mount`, median", "-", `${median(times).toFixed(0)} ms`]);
  return places;
}

/** A thread for each mount. @param {readonly string[]} places */
const changeAll = (places) => startWorker(caller, "change", CHANGE_PAUSE_US, places);

/** @param {HostService} host @param {readonly string[]} places */
async function measureMemory(host, places) {
  await sleep(STANDBY_MS);
  const idle = host.pss();
  say(`idle: ${mib(idle)}`);
  const worker = changeAll(places);
  await sleep(LOAD_MS);
  await worker.end();
  await sleep(REST_MS);
  const after = host.pss();
  say(`after load: ${mib(after)}`);
  const limit = policies > 1 ? 10 : 6;
  rows.push(["memory of all processes, idle", `≤ ${limit} MiB a mount`, mib(idle)]);
  rows.push(["memory after load", `≤ ${limit} MiB a mount`, mib(after)]);
}

/** @param {HostService} host @param {readonly string[]} places */
async function measureKills(host, places) {
  const worker = changeAll(places);
  const worsts = [];
  let counts = "";
  try {
    for (let event = 0; event <= kills; event++) {
      await sleep(STANDBY_MS + Math.random() * 1_000);
      await worker.ask();
      const server = host.servingPid();
      const killedUs = Number(process.hrtime.bigint()) / 1_000;
      if (event > 0 && server !== undefined) process.kill(server, "SIGKILL");
      await sleep(STANDBY_MS);
      const { calls, failures, failed, errno, places: longest } = await worker.ask();
      const waits = longest.toSorted((a, b) => a.us - b.us);
      const [best, middle, worst] = [waits[0], waits[Math.floor(waits.length / 2)], waits.at(-1)];
      const ends = longest.map(({ endUs }) => (endUs - killedUs) / 1_000).toSorted((a, b) => a - b);
      if (parts.includes("timeline")) console.log(ends.map((each) => each.toFixed(0)).join(" "));
      const what = event === 0 ? "no kill" : "SIGKILL";
      const figures = [best, middle, worst].map((each) => `${((each?.us ?? 0) / 1_000).toFixed(0)} ms`).join(", ");
      say(
        `${what}: longest wait of a mount, least, median and most: ${figures} (${worst?.call}); ${calls} calls so far, ${failures} failed`,
      );
      if (failures > 0) console.log(`  ${failed}: errno ${errno}`);
      if (event > 0) worsts.push(`${((worst?.us ?? 0) / 1e6).toFixed(2)} s`);
      counts = `${failures} of ${calls}`;
    }
  } finally {
    await worker.end();
  }
  rows.push(["SIGKILL of the serving process, all mounts in use: longest wait", "≤ 1 s", worsts.join(", ")]);
  rows.push(["SIGKILL: failed calls", "none", counts]);
}

const at = mkdtempSync(join(tmpdir(), "many-mounts-"));
const caller = compileCaller(at);
const host = await HostService.start(at, "on");
try {
  const places = await makeMounts(host);
  if (parts.includes("memory")) await measureMemory(host, places);
  if (parts.includes("kills")) await measureKills(host, places);
  if (parts.includes("isolation")) rows.push(...(await measureIsolation(host, { caller, places, say })));
  printTable();
} finally {
  await host.end();
  rmSync(at, { recursive: true, force: true });
}
