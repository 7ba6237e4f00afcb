// One row of the table of many mounts in one process: start, memory, isolation, and the kill of the serving process.
//
//   node test/bench/costs/host/many-mounts.mjs [mounts] [policies] [kills] [memory,kills,isolation]
//
// Memory is the proportional set size (smaps_rollup) of all processes of the service with a keeper: keeper, server, standby and decision
// services. "After load": five processes have changed files on all mounts for 15 seconds, and ended 5 seconds before. Isolation is the time
// of a stat of an unknown name on one mount, without and with trouble on another one: the 99th percentile of some thousand, every 2 ms.
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HostService } from "./host-service.mjs";
import { CHANGE, LOOK, OPEN, startWorker, WAIT } from "./workers.mjs";

const [mounts = 50, policies = 50, kills = 3] = process.argv.slice(2, 5).map(Number);
const parts = (process.argv[5] ?? "memory,kills,isolation").split(",");
const WORKERS = 5;
/** A standby is started two seconds after a server serves, and loads. */
const STANDBY_MS = 6_000;
const LOAD_MS = 15_000;
const REST_MS = 5_000;
const LOOK_MS = 6_000;

/** @param {number} kib */
const mib = (kib) => `${(kib / 1024).toFixed(1)} MiB, ${(kib / 1024 / mounts).toFixed(2)} a mount`;
/** @param {number} ms */
const us = (ms) => `${(ms * 1000).toFixed(0)} µs`;
/** @param {number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
/** @param {string} text */
const say = (text) => console.log(`${text}; load ${loadavg()[0]?.toFixed(1)}`);

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
  return places;
}

/** @param {readonly string[]} places */
const workersOn = (places) =>
  Array.from({ length: WORKERS }, (_, worker) =>
    startWorker(
      CHANGE,
      places.filter((_place, number) => number % WORKERS === worker),
    ),
  );

/** @param {HostService} host @param {readonly string[]} places */
async function measureMemory(host, places) {
  await sleep(STANDBY_MS);
  say(`idle: ${mib(host.pss())}`);
  const workers = workersOn(places);
  await sleep(LOAD_MS);
  for (const worker of workers) await worker.end();
  await sleep(REST_MS);
  say(`after load: ${mib(host.pss())}`);
}

/** A server that takes questions and answers none. @param {HostService} host */
async function startSilent(host) {
  const path = join(host.at, "silent.sock");
  const server = createServer(() => undefined).listen(path);
  await once(server, "listening");
  return { target: `unix://${path}`, close: () => server.close() };
}

/** @param {string} place */
async function lookAt(place) {
  const worker = startWorker(LOOK, [place]);
  await sleep(500);
  await worker.ask();
  await sleep(LOOK_MS);
  const times = await worker.ask();
  await worker.end();
  return times;
}

/** @param {HostService} host @param {readonly string[]} places */
async function measureIsolation(host, [loaded = "", quiet = ""]) {
  const silent = await startSilent(host);
  const hung = await host.mount({ options: { decision: silent.target, "decision-timeout": "60s" } });
  const failing = await host.mount({ options: { decision: `unix://${host.at}/nobody.sock`, "decision-timeout": "100ms" } });
  /** @type {[string, string, string, number][]} */
  const troubles = [
    ["another waits for its decisions", WAIT, hung, 2],
    ["another's opens fail", OPEN, failing, 1],
    ["one process loads another", OPEN, loaded, 1],
    ["four processes load another", OPEN, loaded, 4],
  ];
  for (const [name, work, place, count] of troubles) {
    const before = await lookAt(quiet);
    const workers = Array.from({ length: count }, () => startWorker(work, [place]));
    await sleep(500);
    const times = await lookAt(quiet);
    for (const worker of workers) await worker.end();
    const figures = `median ${us(before.median)} and ${us(times.median)}, p99 ${us(before.p99)} and ${us(times.p99)}`;
    say(`stat, quiet and while ${name}: ${figures}: ${(times.p99 / before.p99).toFixed(2)}`);
  }
  silent.close();
}

/** @param {HostService} host @param {readonly string[]} places */
async function measureKills(host, places) {
  const workers = workersOn(places);
  const ask = () => Promise.all(workers.map((worker) => worker.ask()));
  try {
    for (let event = 0; event <= kills; event++) {
      await sleep(STANDBY_MS + Math.random() * 1_000);
      await ask();
      const server = host.servingPid();
      if (event > 0 && server !== undefined) process.kill(server, "SIGKILL");
      await sleep(STANDBY_MS);
      const answers = await ask();
      const worst = answers.toSorted((a, b) => b.ms - a.ms)[0];
      const calls = answers.reduce((sum, each) => sum + each.calls, 0);
      const failures = answers.reduce((sum, each) => sum + each.failures, 0);
      const what = event === 0 ? "no kill" : "SIGKILL";
      say(`${what}: longest wait ${worst?.ms.toFixed(0)} ms (${worst?.call}); ${calls} calls so far, ${failures} failed`);
      for (const text of answers.flatMap(({ failed }) => failed)) console.log(`  ${text}`);
    }
  } finally {
    for (const worker of workers) await worker.end();
  }
}

const at = mkdtempSync(join(tmpdir(), "many-mounts-"));
const host = await HostService.start(at, "on");
try {
  const places = await makeMounts(host);
  if (parts.includes("memory")) await measureMemory(host, places);
  if (parts.includes("kills")) await measureKills(host, places);
  if (parts.includes("isolation")) await measureIsolation(host, places);
} finally {
  await host.end();
  rmSync(at, { recursive: true, force: true });
}
