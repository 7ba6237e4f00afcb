// Finds and clears what a test run left behind: processes, mounts, loop devices and scratch files.
// Knows only what carries this run's mark, so that runs and users beside it are safe.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

/**
 * @typedef {object} Run
 * @property {string} id value of SLUICE_TEST_RUN in the environment of everything the run started
 * @property {string} scratchRoot every scratch directory lies below it
 */

/** @param {string} path */
function readOr(path) {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return ""; // The process ended meanwhile, or is not ours to look at.
  }
}

/** @param {string} pid */
function commandLine(pid) {
  return readOr(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
}

/** A zombie is its parent's matter: it has no memory, no files and no mounts. @param {string} pid */
function isZombie(pid) {
  return /^State:\s+Z/m.test(readOr(`/proc/${pid}/status`));
}

/**
 * Processes with the run's mark in their environment, or its scratch directory in their arguments: a service that
 * starts its child with an empty environment still names its socket.
 * @param {Run} run
 * @returns {{ pid: number, command: string }[]}
 */
export function leakedProcesses(run) {
  const mark = `SLUICE_TEST_RUN=${run.id}`;
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid && !isZombie(pid))
    .map((pid) => ({ pid: Number(pid), command: commandLine(pid), environment: readOr(`/proc/${pid}/environ`) }))
    .filter(({ command, environment }) => environment.split("\0").includes(mark) || command.includes(run.scratchRoot))
    .map(({ pid, command }) => ({ pid, command }));
}

/** mountinfo writes blanks and the like in octal. @param {string} path */
function unescapeMount(path) {
  return path.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/**
 * Mounts below the scratch directory, the last mounted first.
 * @param {Run} run
 * @returns {{ mountpoint: string, type: string }[]}
 */
export function leakedMounts(run) {
  const lines = readFileSync("/proc/self/mountinfo", "latin1").trim().split("\n");
  return lines
    .map((line) => ({ mountpoint: unescapeMount(line.split(" ")[4] ?? ""), type: line.split(" - ")[1]?.split(" ")[0] ?? "" }))
    .filter(({ mountpoint }) => mountpoint.startsWith(`${run.scratchRoot}/`))
    .reverse();
}

/** @param {Run} run @returns {{ device: string, image: string }[]} */
export function leakedLoops(run) {
  return readdirSync("/sys/block")
    .filter((name) => name.startsWith("loop"))
    .map((name) => ({ device: `/dev/${name}`, image: readOr(`/sys/block/${name}/loop/backing_file`).trim() }))
    .filter(({ image }) => image.startsWith(`${run.scratchRoot}/`));
}

/** @param {Run} run @returns {string[]} */
function leakedScratch(run) {
  try {
    return readdirSync(run.scratchRoot).map((name) => join(run.scratchRoot, name));
  } catch {
    return [];
  }
}

/**
 * Everything left, a line each. Names before anything is cleared: a mount's name must be read before its server dies.
 * @param {Run} run
 */
export function findLeaks(run) {
  return [
    ...leakedProcesses(run).map(({ pid, command }) => `process ${pid}: ${command}`),
    ...leakedMounts(run).map(({ mountpoint, type }) => `mount ${mountpoint} (${type})`),
    ...leakedLoops(run).map(({ device, image }) => `loop device ${device} on ${image}`),
    ...leakedScratch(run).map((path) => `scratch ${path}`),
  ];
}

/** @param {number} pid */
function kill(pid) {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

/**
 * Ends the processes first: a mount whose server is gone answers at once, one whose server hangs never would.
 * @param {Run} run
 */
export function clearLeaks(run) {
  for (const { pid } of leakedProcesses(run)) kill(pid);
  for (const { mountpoint } of leakedMounts(run)) spawnSync("umount", ["-l", mountpoint], { stdio: "ignore" });
  for (const { device } of leakedLoops(run)) spawnSync("losetup", ["-d", device], { stdio: "ignore" });
  // A mount that would not go must not be emptied: below it are somebody's files.
  if (leakedMounts(run).length === 0) rmSync(run.scratchRoot, { recursive: true, force: true });
}
