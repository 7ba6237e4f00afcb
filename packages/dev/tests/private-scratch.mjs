// Runs a program whose scratch directory nobody outside can look into: tests compare access times of layers, and whatever else
// reads the temporary directory (a backup, an indexer, a search) would move them.
// How: the directory is a private mount; the program gets a mount namespace of its own, with every other mount as it is; then
// an empty file system hides the directory from everybody else.
import { spawn, spawnSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const LOOK_MS = 5;

/** @param {readonly string[]} argv */
function run([file = "", ...argv]) {
  return spawnSync(file, argv, { stdio: "ignore" }).status === 0;
}

/** @param {number | "self"} pid */
function mountNamespace(pid) {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}

/** Makes the directory a mount of its own that tells no other namespace of mounts below it. @param {string} directory */
function separate(directory) {
  if (process.geteuid?.() !== 0 || !run(["unshare", "--mount", "true"])) return false;
  if (!run(["mount", "--bind", directory, directory])) return false;
  if (run(["mount", "--make-private", directory])) return true;
  run(["umount", directory]);
  return false;
}

/** @param {import("node:child_process").ChildProcess} child @returns {Promise<number>} */
function exitCodeOf(child) {
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => {
    child.on("error", () => resolve(1));
    child.on("exit", (code) => resolve(code ?? 1));
  });
}

/** Resolves when `child` has a namespace of its own, or has ended. @param {import("node:child_process").ChildProcess} child */
async function untilUnshared(child) {
  const ours = mountNamespace("self");
  while (child.exitCode === null && child.signalCode === null && child.pid !== undefined && mountNamespace(child.pid) === ours)
    await sleep(LOOK_MS);
}

/**
 * Runs a Node script and resolves with its exit code. If this user may not hide the directory, the script still runs,
 * without SLUICE_TEST_OUTSIDE: the pid of a process that does not see into it.
 * @param {string} directory @param {readonly string[]} argv @param {NodeJS.ProcessEnv} env
 */
export async function runInPrivate(directory, argv, env) {
  if (!separate(directory)) return exitCodeOf(spawn(process.execPath, argv, { env, stdio: "inherit" }));
  const unshare = ["--mount", "--propagation", "unchanged", process.execPath, ...argv];
  const child = spawn("unshare", unshare, { env: { ...env, SLUICE_TEST_OUTSIDE: String(process.pid) }, stdio: "inherit" });
  const ended = exitCodeOf(child);
  await untilUnshared(child);
  const hidden = run(["mount", "-t", "tmpfs", "-o", "size=4k,mode=755", "sluice-tests", directory]);
  try {
    return await ended;
  } finally {
    for (let mounts = hidden ? 2 : 1; mounts > 0; mounts--) run(["umount", directory]);
  }
}
