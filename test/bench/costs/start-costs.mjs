// The time of `sluice run -- true` from its start to its end: as root and as an ordinary user, with a server of its own and by a host service
// that is there, in turn. It starts the bundle, as an installed package does.
//
//   node test/bench/costs/start-costs.mjs [rounds] [DIR…]      as root; by default 12 rounds
//
// DIR is another built checkout or a directory with its bundle/, to compare with. The first round is not counted. A service gets a pause
// after each session, in which it makes the next process ready. Figures are medians, and the least and the most, in milliseconds.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const rounds = Number(process.argv[2] ?? 12);
const directories = [fileURLToPath(new URL("../../..", import.meta.url)), ...process.argv.slice(3).map((path) => resolve(path))];
const USER = { uid: 1000, gid: 1000 };
const PAUSE_MS = 2_500;

const at = mkdtempSync(join(tmpdir(), "sluice-starts-"));
chmodSync(at, 0o755);
/** A file of certificates, which Node reads at each start. */
const { NODE_EXTRA_CA_CERTS: _slow, ...environment } = process.env;

for (const who of ["root", "user"]) {
  for (const name of ["home", "project"]) mkdirSync(join(at, who, name), { recursive: true });
  writeFileSync(join(at, who, "project/a"), "some text\n");
  if (who === "user") for (const name of ["", "home", "project", "project/a"]) chownSync(join(at, who, name), USER.uid, USER.gid);
}

/** @typedef {{ name: string, program: string, socket: string, service: import("node:child_process").ChildProcess }} Subject */

/** @param {string} directory @param {number} number @returns {Promise<Subject>} */
async function start(directory, number) {
  const program = join(directory, "bundle/packages/cli/dist/main.js");
  const own = join(at, `service-${number}`);
  mkdirSync(own);
  const socket = join(own, "host.sock");
  const words = [program, "serve", "--socket", socket, "--user-mounts", "4", "--log-file", join(own, "log")];
  const service = spawn(process.execPath, words, { env: environment, stdio: ["ignore", "ignore", "inherit"] });
  while (!existsSync(join(own, "users.sock"))) await sleep(20);
  return { name: basename(directory), program, socket, service };
}

/** @param {Subject} subject @param {string} who @param {boolean} byService @returns {Promise<number>} milliseconds */
async function run({ program, socket }, who, byService) {
  const words = [program, "run", "--host-service", byService ? socket : "off", "--on-exit", "discard", "--", "true"];
  const began = process.hrtime.bigint();
  const child = spawn(process.execPath, words, {
    ...(who === "user" ? USER : {}),
    env: { ...environment, HOME: join(at, who, "home"), XDG_STATE_HOME: join(at, who, "home/state") },
    cwd: join(at, who, "project"),
    stdio: ["ignore", "ignore", "pipe"],
  });
  let text = "";
  child.stderr.on("data", (/** @type {Buffer} */ bytes) => (text += bytes.toString()));
  const [code] = await once(child, "exit");
  const elapsedMs = Number(process.hrtime.bigint() - began) / 1e6;
  if (code !== 0 || text.includes("by the host service") !== byService) throw new Error(`sluice run failed (${code}): ${text}`);
  await sleep(byService ? PAUSE_MS : 0);
  return elapsedMs;
}

/** @param {number[]} times @returns {string} */
function shown(times) {
  const sorted = times.toSorted((a, b) => a - b);
  const [least, median, most] = [0, Math.floor(sorted.length / 2), sorted.length - 1].map((index) => sorted[index]?.toFixed(0));
  return `${median} (${least} to ${most})`;
}

/** @type {Subject[]} */
const subjects = [];
try {
  for (const [number, directory] of directories.entries()) subjects.push(await start(directory, number));
  await sleep(PAUSE_MS);
  /** @type {Map<string, number[]>} */
  const times = new Map();
  const kinds = [true, false].flatMap((byService) => ["root", "user"].map((who) => ({ who, byService })));
  for (let round = 0; round <= rounds; round++) {
    const inTurn = round % 2 === 0 ? subjects : subjects.toReversed();
    for (const { who, byService, subject } of kinds.flatMap((kind) => inTurn.map((each) => ({ ...kind, subject: each })))) {
      const elapsedMs = await run(subject, who, byService);
      const key = `${who} ${byService} ${subject.name}`;
      times.set(key, round === 0 ? [] : [...(times.get(key) ?? []), elapsedMs]);
    }
  }
  console.log(`load average ${loadavg()[0]?.toFixed(2)}, Node ${process.version}, ${rounds} rounds\n`);
  console.log(`| sluice run -- true, ms | ${subjects.map(({ name }) => name).join(" | ")} |\n|---|${subjects.map(() => "---|").join("")}`);
  for (const { who, byService } of kinds) {
    const cells = subjects.map(({ name }) => shown(times.get(`${who} ${byService} ${name}`) ?? []));
    console.log(`| ${who}, ${byService ? "by a host service" : "with a server of its own"} | ${cells.join(" | ")} |`);
  }
} finally {
  for (const { service } of subjects) {
    service.kill("SIGTERM");
    if (service.exitCode === null && service.signalCode === null) await once(service, "exit");
  }
  rmSync(at, { recursive: true, force: true });
}
