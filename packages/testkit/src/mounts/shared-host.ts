// One `sluice serve` for the mounts of all test files of a vitest worker that say `mountsShareProcess()`. A mount of its own process costs
// a quarter of a second of processor time before it serves, and its decision service as much again. Here both run already, with warm code.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cleanUpAfterFile } from "../clean-up.js";
import { withServicePrivilege } from "../machine/service-privilege.js";
import { scratchOfFile } from "../trees/scratch.js";
import { type Host, HostedServer } from "./hosted-server.js";

const CLI = fileURLToPath(new URL("../../../cli/bin/sluice.cjs", import.meta.url));
const READY = "serves mounts at";
const MAX_LOG_CHARACTERS = 1 << 20;

let shares = false;
let host: Promise<Host> | undefined;
/** Of the test file, by text. */
const policyFiles = new Map<string, string>();

/**
 * At the top of a test file: its mounts are made by one process, unless one of them needs a process of its own. For files that look at
 * files and decisions, and not at the process: its signals, its descriptors, its end and its command line.
 */
export function mountsShareProcess(): void {
  shares = true;
  cleanUpAfterFile(() => {
    shares = false;
    policyFiles.clear();
  });
}

export function sharesProcess(): boolean {
  return shares;
}

/** A file with this text: mounts with the same one share a decision service. */
export function sharedPolicyFile(text: string): string {
  const path = policyFiles.get(text) ?? join(scratchOfFile(), "policy.yaml");
  if (!policyFiles.has(text)) writeFileSync(path, text);
  policyFiles.set(text, path);
  return path;
}

/** `npm test` removes its directory of programs at its end, and so the service lasts as long as the worker. Otherwise it ends with the test file. */
function placeOfHost(end: () => Promise<void>): string {
  const lasting = process.env["SLUICE_TEST_PROGRAMS"];
  const directory = mkdtempSync(join(lasting ?? tmpdir(), "sluice-host-"));
  chmodSync(directory, 0o755);
  if (lasting === undefined) {
    cleanUpAfterFile(async () => {
      await end();
      rmSync(directory, { recursive: true, force: true });
    });
  }
  return directory;
}

/**
 * Ends `service` when this process is gone, which vitest ends by a signal. Not by a death signal: the kernel forgets that if a process creates
 * files as its callers (commit_creds of kernel/cred.c), as the service does.
 */
function endWithThisProcess(service: ChildProcess): void {
  const watcher = spawn("sh", ["-c", 'read -r line; kill "$0"', String(service.pid)], { stdio: ["pipe", "ignore", "ignore"] });
  service.once("close", () => watcher.kill("SIGKILL"));
}

async function start(): Promise<Host> {
  const place = placeOfHost(async () => {
    child.kill();
    await ended;
  });
  const socket = join(place, "host.sock");
  const [file = "", ...argv] = withServicePrivilege([process.execPath, CLI, "serve", "--socket", socket]);
  const child = spawn(file, argv, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(child, "close");
  endWithThisProcess(child);
  const output = { stdout: "", stderr: "" };
  await new Promise<void>((resolve, reject) => {
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => {
        output[name] = (output[name] + text).slice(-MAX_LOG_CHARACTERS);
        if (output.stdout.includes(READY)) resolve();
      });
    }
    child.once("error", reject);
    child.once("close", () => {
      host = undefined;
      reject(new Error(`sluice serve did not serve: ${output.stderr || output.stdout}`));
    });
  });
  const made = { socket, pid: child.pid ?? -1, output };
  await holdDecisions(made, place);
  return made;
}

/** A mount that nobody uses: the process of the decision services ends with the last mount that has a policy. */
async function holdDecisions(made: Host, place: string): Promise<void> {
  const [lower, mountpoint, policy] = ["lower", "view", "policy.yaml"].map((name) => join(place, name)) as [string, string, string];
  for (const path of [lower, mountpoint]) mkdirSync(path);
  writeFileSync(policy, "version: 1\ndefault: grant\n");
  const held = new HostedServer(made, ["--lower", lower, "--policy", policy], mountpoint);
  await held.ready;
  if (held.readyLine() === undefined) throw new Error(`the first mount of sluice serve failed: ${held.output.stderr}`);
}

/** Of this worker. Starts it if it is the first to ask. */
export function sharedHost(): Promise<Host> {
  host ??= start();
  return host;
}
