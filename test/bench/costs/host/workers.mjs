// Processes that use mounts, and time each of their calls.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** Each line of its input is answered with its times since the last line: calls, failures, and the longest and others in milliseconds. */
const FRAME = `
import fs from "node:fs";
const places = process.argv.slice(1);
let times = [];
let worst = { ms: 0, call: "none" };
let calls = 0;
const failed = [];
const timed = (call, run) => {
  const begun = performance.now();
  try { run(); } catch (error) { failed.push(call + ": " + error.message); }
  const ms = performance.now() - begun;
  calls++;
  times.push(ms);
  if (ms > worst.ms) worst = { ms, call };
};
process.stdin.on("data", () => {
  times.sort((a, b) => a - b);
  const at = (share) => times[Math.floor(times.length * share)] ?? 0;
  console.log(JSON.stringify({ ...worst, calls, failed: failed.slice(0, 3), failures: failed.length, median: at(0.5), p99: at(0.99) }));
  times = [];
  worst = { ms: 0, call: "none" };
});
process.stdin.on("end", () => process.exit());
let round = 0;
`;

/** Looks names up, reads, writes, renames and removes on its mounts in turn, each millisecond. */
export const CHANGE = `
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
`;

/** Looks a name up that nobody knows, every two milliseconds: each asks the mount. */
export const LOOK = `
setInterval(() => {
  const at = places[round++ % places.length];
  timed("stat", () => fs.statSync(at + "/absent" + round, { throwIfNoEntry: false }));
}, 2);
`;

/** Opens files without a pause, and makes new ones. */
export const OPEN = `
const work = () => {
  const at = places[0];
  for (let count = 0; count < 100; count++) {
    timed("open", () => fs.closeSync(fs.openSync(at + "/word", "r")));
    timed("create", () => fs.writeFileSync(at + "/made" + process.pid, String(round++)));
  }
  setImmediate(work);
};
work();
`;

/** Begins opens that may never end. */
export const WAIT = `
for (let count = 0; count < 4; count++) fs.open(places[0] + "/word", "r", () => undefined);
setInterval(() => fs.stat(places[0] + "/absent" + round++, () => undefined), 10);
`;

/** @typedef {{ ms: number, call: string, calls: number, failed: string[], failures: number, median: number, p99: number }} Times */

/** @param {string} work @param {readonly string[]} places */
export function startWorker(work, places) {
  const child = spawn(process.execPath, ["--input-type=module", "-e", FRAME + work, ...places], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  return {
    ask: async () => {
      const answer = once(lines, "line");
      child.stdin.write("\n");
      const [line] = await answer;
      return /** @type {Times} */ (JSON.parse(String(line)));
    },
    end: async () => {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}
