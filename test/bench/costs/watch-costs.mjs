// The cost for the callers of a mount if an operator looks at it: opens that are granted or denied by cached answers, on two mounts with a
// decision service each, in turn.
//
//   node test/bench/costs/watch-costs.mjs [rounds] [opens]
//
// One mount is left alone. On the other one, everything is on: `sluice log -f` of the mount and of its service, `sluice top`, the streams of
// the console's pages, and metrics that are read every second. Times are those of a program in C (the loop of opens) and the processor time of
// the mount's server in it; figures are medians of the rounds' ratios. Also: how soon a denial is in each place.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const rounds = Number(process.argv[2] ?? 15);
const opens = Number(process.argv[3] ?? 60_000);
const CLI = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));
const SECRETS = 300;
const TICK_MS = 10;
const SETTLE_MS = 3_000;
/** Denials whose way is timed. */
const LATE = 7;

/** Opens the names 0 to N-1 of a directory in turn, and prints the nanoseconds. */
const OPENER = String.raw`
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv) {
  int names = atoi(argv[2]), opens = atoi(argv[3]);
  char name[16];
  struct timespec a, b;
  if (argc < 4 || chdir(argv[1]) != 0) return 1;
  clock_gettime(CLOCK_MONOTONIC, &a);
  for (int i = 0; i < opens; i++) {
    snprintf(name, sizeof name, "%d", i % names);
    int fd = open(name, O_RDONLY);
    if (fd >= 0) close(fd);
  }
  clock_gettime(CLOCK_MONOTONIC, &b);
  printf("%lld\n", (b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec);
}`;

/** @param {number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

const at = mkdtempSync(join(tmpdir(), "sluice-watch-"));
/** @type {(() => unknown)[]} */
const undo = [() => rmSync(at, { recursive: true, force: true })];
const opener = join(at, "opener");
writeFileSync(`${opener}.c`, OPENER);
execFileSync("cc", ["-O2", "-o", opener, `${opener}.c`]);
const lower = join(at, "lower");
for (const folder of ["secrets", "open"]) {
  mkdirSync(join(lower, folder), { recursive: true });
  for (let i = 0; i < SECRETS; i++) writeFileSync(join(lower, folder, String(i)), "x");
}
for (let i = 0; i < LATE; i++) writeFileSync(join(lower, "secrets", `late-${i}`), "x");
const policy = join(at, "policy.yaml");
writeFileSync(policy, "version: 1\ndefault: grant\nrules: [{ name: no-secrets, path: 'secrets/**', effect: deny }]\n");

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  server.close();
  return port;
}

/** @param {readonly string[]} argv */
function started(argv) {
  const child = spawn(process.execPath, [CLI, ...argv], { stdio: ["ignore", "pipe", "ignore"] });
  undo.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    await gone;
  });
  return child;
}

/** @param {string} name */
async function mounted(name) {
  const base = join(at, name);
  for (const part of ["upper", "work", "merged"]) mkdirSync(join(base, part), { recursive: true });
  const [console, admin] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const socket = `unix://${base}/d.sock`;
  await once(started(["decision", "--policy", policy, "--listen", socket, "--admin", console]).stdout, "data");
  const place = join(base, "merged");
  const layers = ["--lower", lower, "--upper", join(base, "upper"), "--work", join(base, "work")];
  const mount = started(["mount", ...layers, "--decision", socket, "--admin", admin, place]);
  await once(mount.stdout, "data");
  mount.stdout.resume();
  return { place, console: `http://${console}/console`, admin: `http://${admin}/metrics`, pid: Number(mount.pid) };
}

/** Everything that an operator can look at, with the text that was shown since it was last cleared. @param {Awaited<ReturnType<typeof mounted>>} mount */
function watch({ place, console, admin }) {
  /** @type {Record<string, string>} */
  const shown = {};
  const show = (/** @type {string} */ where) => (/** @type {unknown} */ text) => {
    shown[where] = `${shown[where] ?? ""}${String(text)}`;
  };
  const commands = {
    "log of the mount": ["log", "-f", place],
    "log of the service": ["log", "-f", console.replace(/\/console$/, "")],
    top: ["top", place],
  };
  for (const [where, argv] of Object.entries(commands)) started(argv).stdout.on("data", show(where));
  void follow(`${console}/api/decisions`, show("console"));
  for (const call of ["state", "overview/5m"]) void follow(`${console}/api/${call}`, () => undefined);
  void follow(admin, () => undefined);
  return shown;
}

/** A stream is read to its end, and asked for again a second later. @param {string} url @param {(text: string) => void} take */
async function follow(url, take) {
  const ended = new AbortController();
  undo.push(() => ended.abort());
  try {
    while (!ended.signal.aborted) {
      const reply = await fetch(url, { signal: ended.signal });
      if (!reply.ok) throw new Error(`${url}: ${reply.status}`);
      for await (const bytes of /** @type {AsyncIterable<Uint8Array>} */ (reply.body)) take(Buffer.from(bytes).toString());
      await sleep(1_000, undefined, { signal: ended.signal });
    }
  } catch (error) {
    if (!ended.signal.aborted) throw error;
  }
}

/** How long it takes until a denial by a cached answer is shown, in milliseconds. @param {Awaited<ReturnType<typeof mounted>>} mount @param {Record<string, string>} shown */
async function delays({ place, admin }, shown) {
  /** @type {Record<string, number[]>} */
  const all = {};
  const denials = async () =>
    Number(/^sluice_rule_decisions_total\{rule="no-secrets",effect="deny"\} (\d+)/m.exec(await (await fetch(admin)).text())?.[1] ?? 0);
  for (let at = 0; at < LATE; at++) {
    await sleep(2_500 + 137 * at);
    const name = `late-${at}`;
    const before = await denials();
    const begun = performance.now();
    spawnSync("cat", [join(place, "secrets", name)], { stdio: "ignore" });
    const pending = new Set(["log of the mount", "log of the service", "top", "console", "metrics"]);
    while (pending.size > 0 && performance.now() - begun < 20_000) {
      if ((await denials()) > before) shown["metrics"] = name;
      for (const where of [...pending].filter((each) => shown[each]?.includes(name))) {
        pending.delete(where);
        (all[where] ??= []).push(performance.now() - begun);
      }
      await sleep(20);
    }
    for (const where of pending) (all[where] ??= []).push(NaN);
  }
  return all;
}

/** Of a process, in milliseconds. @param {number} pid */
function processorMs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** @param {Awaited<ReturnType<typeof mounted>>} mount @param {string} folder */
async function timed({ place, pid }, folder) {
  const before = processorMs(pid);
  const child = spawn(opener, [join(place, folder), String(SECRETS), String(opens)], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  for await (const chunk of child.stdout) text += chunk;
  return { wallMs: Number(text) / 1e6, processorMs: processorMs(pid) - before };
}

async function main() {
  const alone = await mounted("alone");
  const watched = await mounted("watched");
  const shown = watch(watched);
  for (const mount of [alone, watched]) for (const folder of ["secrets", "open"]) await timed(mount, folder);
  await sleep(SETTLE_MS);
  for (const folder of ["secrets", "open"]) {
    /** @type {{ wall: number[], processor: number[], alone: number[] }} */
    const ratios = { wall: [], processor: [], alone: [] };
    for (let round = 0; round < rounds; round++) {
      const order = round % 2 === 0 ? [alone, watched] : [watched, alone];
      const results = new Map();
      for (const mount of order) results.set(mount, await timed(mount, folder));
      const [off, on] = [results.get(alone), results.get(watched)];
      ratios.wall.push(on.wallMs / off.wallMs);
      ratios.processor.push(on.processorMs / off.processorMs);
      ratios.alone.push((off.wallMs / opens) * 1000);
    }
    const [wall, processor] = [median(ratios.wall).toFixed(3), median(ratios.processor).toFixed(3)];
    const kind = folder === "secrets" ? "denied" : "granted";
    console.log(
      `${kind}: ${median(ratios.alone).toFixed(1)} us an open alone; with everything on ${wall} of the time, processor ${processor}`,
    );
  }
  for (const [where, times] of Object.entries(await delays(watched, shown)))
    console.log(`a denial is in ${where} after ${median(times).toFixed(0)} ms, at most ${Math.max(...times).toFixed(0)} ms`);
  console.log(
    `load ${loadavg()
      .map((load) => load.toFixed(1))
      .join(" ")}, ${rounds} rounds of ${opens} opens`,
  );
}

try {
  await main();
} finally {
  for (const step of undo.reverse()) await step();
}
