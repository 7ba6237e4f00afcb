// The longest wait of a call while the server of many mounts is killed, or replaced by an upgrade.
//
//   node test/bench/costs/host-take-over.mjs [mounts] [policies] [kills] [upgrades]
//
// A service with a keeper has that many mounts, with as many policies (0: none). A few processes work on all of them: each call is timed,
// and looks names up, opens, reads, writes, renames and removes. Before each kill a standby is loaded, as it is some seconds after the last.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { credentials } from "@grpc/grpc-js";
import { wire } from "@sluice/host-api";
import { childrenOf, CLI, hasDevice } from "./host/host-service.mjs";

const [mounts = 50, policies = 1, kills = 5, upgrades = 2] = process.argv.slice(2).map(Number);
const WORKERS = 5;
/** The standby is started two seconds after the server serves, and loads. */
const BETWEEN_MS = Number(process.env.BETWEEN ?? 6_000);

/** Works on its mounts, one after another, and answers each line of its input with its longest call since the last line. */
const WORK = `
import fs from "node:fs";
const places = process.argv.slice(1);
let worst = { ms: 0, call: "none" };
let calls = 0;
const failed = [];
const timed = (call, run) => {
  const begun = performance.now();
  try { run(); } catch (error) { failed.push(call + ": " + error.message); }
  const ms = performance.now() - begun;
  calls++;
  if (ms > worst.ms) worst = { ms, call };
};
let round = 0;
const work = () => {
  const at = places[round++ % places.length];
  timed("stat of an unknown name", () => fs.statSync(at + "/absent" + round, { throwIfNoEntry: false }));
  timed("read", () => fs.readFileSync(at + "/word", "utf8"));
  timed("write", () => fs.writeFileSync(at + "/new", String(round)));
  timed("rename", () => fs.renameSync(at + "/new", at + "/other"));
  timed("unlink", () => fs.unlinkSync(at + "/other"));
  setTimeout(work, 1);
};
work();
process.stdin.on("data", () => {
  console.log(JSON.stringify({ ...worst, calls, failed: failed.slice(0, 3), failures: failed.length }));
  worst = { ms: 0, call: "none" };
});
`;

/** @param {InstanceType<typeof wire.HostServiceClient>} client @param {string} at @param {number} number */
async function mountOne(client, at, number) {
  const base = join(at, `mount-${number}`);
  for (const name of ["lower", "upper", "work", "merged"]) mkdirSync(join(base, name), { recursive: true });
  writeFileSync(join(base, "lower", "word"), "word");
  const options = [
    ...["lower", "upper", "work"].map((name) => ({ name, values: [join(base, name)] })),
    { name: "log-level", values: ["error"] },
  ];
  if (policies > 0) {
    const policy = join(at, `policy-${number % policies}.yaml`);
    writeFileSync(policy, "version: 1\ndefault: grant\nrules:\n  - { name: no-keys, path: '**/*.pem', effect: deny }\n");
    options.push({ name: "policy", values: [policy] });
  }
  const mountpoint = join(base, "merged");
  const call = client.mount();
  call.write({ message: { $case: "begin", value: { mountpoint, options, directory: "/", attached: false, mountNamespace: 0 } } });
  call.end();
  for await (const { message } of call) if (message?.$case === "ended") throw new Error(JSON.stringify(message.value));
  return mountpoint;
}

/** @param {string[]} places */
function startWorker(places) {
  const child = spawn(process.execPath, ["--input-type=module", "-e", WORK, ...places], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  return {
    ask: async () => {
      const answer = once(lines, "line");
      child.stdin.write("\n");
      const [line] = await answer;
      return /** @type {{ ms: number, call: string, calls: number, failed: string[], failures: number }} */ (JSON.parse(String(line)));
    },
    end: async () => {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

const at = mkdtempSync(join(tmpdir(), "host-take-over-"));
const host = spawn(process.execPath, [CLI, "serve", "--keeper", "on", "--socket", join(at, "host.sock"), "--log-level", "error"], {
  stdio: ["ignore", "pipe", "inherit"],
});
await once(host.stdout, "data");
/** @type {ReturnType<typeof startWorker>[]} */
let workers = [];
try {
  const places = [];
  const client = new wire.HostServiceClient(`unix://${join(at, "host.sock")}`, credentials.createInsecure());
  for (let number = 0; number < mounts; number++) places.push(await mountOne(client, at, number));
  client.close();
  workers = Array.from({ length: WORKERS }, (_, worker) => startWorker(places.filter((_place, number) => number % WORKERS === worker)));
  const ask = () => Promise.all(workers.map((worker) => worker.ask()));
  for (let event = 0; event <= kills + upgrades; event++) {
    await sleep(BETWEEN_MS + Math.random() * 1_000);
    if (event > 0) await ask();
    const isKill = event > 0 && event <= kills;
    const server = childrenOf(host.pid ?? 0).find(hasDevice);
    if (isKill && server !== undefined) process.kill(server, "SIGKILL");
    if (event > kills) execFileSync(process.execPath, [CLI, "upgrade", join(at, "host.sock")], { stdio: "ignore" });
    await sleep(BETWEEN_MS);
    const answers = await ask();
    const worst = answers.toSorted((a, b) => b.ms - a.ms)[0];
    const calls = answers.reduce((sum, each) => sum + each.calls, 0);
    const failures = answers.reduce((sum, each) => sum + each.failures, 0);
    const load = loadavg()[0]?.toFixed(1);
    const what = event === 0 ? "nothing" : isKill ? "kill" : "upgrade";
    console.log(
      `${what}: longest wait ${worst?.ms.toFixed(0)} ms (${worst?.call}); ${calls} calls so far, ${failures} failed; load ${load}`,
    );
    for (const text of answers.flatMap(({ failed }) => failed)) console.log(`  ${text}`);
  }
} finally {
  await Promise.all(workers.map((worker) => worker.end()));
  host.kill("SIGTERM");
  await once(host, "exit");
  rmSync(at, { recursive: true, force: true });
}
