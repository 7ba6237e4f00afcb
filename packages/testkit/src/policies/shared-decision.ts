// A decision service apart from the mounts that ask it: one for all mounts of a test file that have the same policy. An embedded one
// costs as much processor time as its mount, or more, so mounts have one of their own only in tests that look at it, at edits of its
// policy file, or at the end of both.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cleanUpAfterFile } from "../clean-up.js";
import { scratchOfFile } from "../trees/scratch.js";

const CLI = fileURLToPath(new URL("../../../cli/bin/sluice.cjs", import.meta.url));
const READY = "deciding at";

/** By the text of the policy. */
const targets = new Map<string, Promise<string>>();

async function untilReady(child: ChildProcess): Promise<void> {
  const output = { stdout: "", stderr: "" };
  await new Promise<void>((resolve, reject) => {
    for (const name of ["stdout", "stderr"] as const) {
      child[name]?.setEncoding("utf8").on("data", (text: string) => {
        output[name] += text;
        if (output.stdout.includes(READY)) resolve();
      });
    }
    child.once("error", reject);
    child.once("close", () => reject(new Error(`sluice decision did not serve: ${output.stderr || output.stdout}`)));
  });
}

async function start(policy: string): Promise<string> {
  cleanUpAfterFile(() => void targets.delete(policy));
  const directory = scratchOfFile();
  const [file, target] = [join(directory, "policy.yaml"), `unix://${join(directory, "decision.sock")}`];
  writeFileSync(file, policy);
  const argv = [CLI, "decision", "--policy", file, "--listen", target, "--log-level", "warn"];
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(child, "close");
  cleanUpAfterFile(async () => {
    child.kill();
    await ended;
  });
  await untilReady(child);
  return target;
}

/** The target of the file's decision service with this policy. Starts it if it is the first to ask. */
export function sharedDecision(policy: string): Promise<string> {
  const target = targets.get(policy) ?? start(policy);
  targets.set(policy, target);
  return target;
}
