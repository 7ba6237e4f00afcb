// Memory and start of many mounts: in one process of `sluice serve`, without and with a keeper, and as processes of their own.
//
//   node test/bench/costs/host-costs.mjs [mounts,mounts,…] [most]
//
// Memory is the proportional set size (smaps_rollup) of all processes that serve together: servers, keepers, standbys and decision services.
// Mounts have two layers each. Times are medians, of a call of Mount by a client that is connected, and of the whole command with
// --background. "most" is the largest number of mounts that are measured as processes of their own, too (default 10).
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { credentials } from "@grpc/grpc-js";
import { wire } from "@sluice/host-api";
import { CLI, familyOf, pssOf } from "./host/host-service.mjs";

const counts = (process.argv[2] ?? "1,10,50").split(",").map(Number);
const most = Number(process.argv[3] ?? 10);
const COMMANDS = 5;
const SETTLE_MS = 3_000;
/** A standby is started two seconds after a server serves. */
const STANDBY_MS = 10_000;

/** @param {number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
/** @param {number} value */
const ms = (value) => `${value.toFixed(0)} ms`;
/** @param {number} kib */
const mib = (kib) => `${(kib / 1024).toFixed(1)} MiB`;

/** @param {string} at @param {number} number */
function layersAt(at, number) {
  const base = join(at, `mount-${number}`);
  for (const name of ["lower", "upper", "work", "merged"]) mkdirSync(join(base, name), { recursive: true });
  writeFileSync(join(base, "lower", "word"), "word");
  return { lower: join(base, "lower"), upper: join(base, "upper"), work: join(base, "work"), mountpoint: join(base, "merged") };
}

/** @param {string} at @param {number} number @param {string | undefined} policy */
function specOf(at, number, policy) {
  const { mountpoint, ...dirs } = layersAt(at, number);
  const options = Object.entries(dirs).map(([name, path]) => ({ name, values: [path] }));
  if (policy !== undefined) options.push({ name: "policy", values: [policy] });
  options.push({ name: "log-level", values: ["error"] });
  return { mountpoint, options, directory: "/", attached: false, mountNamespace: 0 };
}

/** @param {ReturnType<typeof specOf>} spec */
const argvOf = ({ options, mountpoint }) => [...options.flatMap(({ name, values }) => [`--${name}`, ...values]), mountpoint];

/** @param {readonly string[]} argv */
async function started(argv) {
  const child = spawn(process.execPath, [CLI, ...argv], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return child;
}

/** @param {import("node:child_process").ChildProcess} child */
async function ended(child) {
  child.kill("SIGTERM");
  await once(child, "exit");
}

/** @param {InstanceType<typeof wire.HostServiceClient>} client @param {ReturnType<typeof specOf>} spec */
function makeMount(client, spec) {
  const call = client.mount();
  /** @type {Promise<void>} */
  const made = new Promise((resolve, reject) => {
    call.on("data", ({ message }) => {
      if (message?.$case === "ended") reject(new Error(JSON.stringify(message.value)));
    });
    call.on("end", resolve);
    call.on("error", reject);
  });
  call.write({ message: { $case: "begin", value: spec } });
  call.end();
  return made;
}

/** @param {string} at @param {string | undefined} policy */
const inOneProcess = (at, policy) => inService(at, policy, "off");

/** @param {string} at @param {string | undefined} policy */
const withKeeper = (at, policy) => inService(at, policy, "on");

/** @param {string} at @param {string | undefined} policy @param {"on" | "off"} keeper */
async function inService(at, policy, keeper) {
  const socket = join(at, "host.sock");
  const host = await started(["serve", "--keeper", keeper, "--socket", socket, "--log-level", "error"]);
  const client = new wire.HostServiceClient(`unix://${socket}`, credentials.createInsecure());
  await sleep(keeper === "on" ? STANDBY_MS : SETTLE_MS);
  const empty = pssOf(familyOf(host.pid ?? 0));
  /** @type {number[]} */
  const calls = [];
  const rows = [];
  let made = 0;
  for (const count of counts) {
    for (; made < count; made++) {
      const spec = specOf(at, made, policy);
      const begun = performance.now();
      await makeMount(client, spec);
      calls.push(performance.now() - begun);
    }
    await sleep(SETTLE_MS);
    const pss = pssOf(familyOf(host.pid ?? 0));
    rows.push(`${count} mounts: ${mib(pss)}, ${mib(pss / count)} a mount; above the empty service ${mib((pss - empty) / count)} a mount`);
  }
  const commands = [];
  for (let i = 0; i < COMMANDS; i++) {
    const begun = performance.now();
    execFileSync(process.execPath, [CLI, "mount", "--host-service", socket, "--background", ...argvOf(specOf(at, made + i, policy))]);
    commands.push(performance.now() - begun);
  }
  client.close();
  await ended(host);
  return [
    `empty: ${mib(empty)}`,
    ...rows,
    `a call: first ${ms(calls[0] ?? NaN)}, then ${ms(median(calls.slice(1)))}; the command: ${ms(median(commands))}`,
  ];
}

/** @param {string} at @param {string | undefined} policy */
async function inOwnProcesses(at, policy) {
  const children = [];
  const times = [];
  const rows = [];
  for (const count of counts.filter((each) => each <= most)) {
    while (children.length < count) {
      const argv = argvOf(specOf(at, children.length, policy));
      const begun = performance.now();
      children.push(await started(["mount", ...argv]));
      times.push(performance.now() - begun);
    }
    await sleep(SETTLE_MS);
    const pss = pssOf(children.flatMap(({ pid = 0 }) => familyOf(pid)));
    rows.push(`${count} mounts: ${mib(pss)}, ${mib(pss / count)} a mount`);
  }
  await Promise.all(children.map(ended));
  return [...rows, `until live: ${ms(median(times))}`];
}

console.log(
  `load ${loadavg()
    .map((load) => load.toFixed(1))
    .join(" ")}`,
);
for (const withPolicy of [false, true]) {
  for (const measure of [inOneProcess, withKeeper, inOwnProcesses]) {
    const at = mkdtempSync(join(tmpdir(), "host-costs-"));
    const policy = join(at, "policy.yaml");
    writeFileSync(policy, "version: 1\ndefault: grant\nrules:\n  - { name: no-keys, path: '**/*.pem', effect: deny }\n");
    try {
      const rows = await measure(at, withPolicy ? policy : undefined);
      console.log(`${measure.name}, ${withPolicy ? "one policy" : "no policy"}\n  ${rows.join("\n  ")}`);
    } finally {
      rmSync(at, { recursive: true, force: true });
    }
  }
}
