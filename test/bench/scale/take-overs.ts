/** How long who uses a mount waits while another server takes it over: after a kill, and in an upgrade. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { processesNaming, processWith } from "../machine/processes.js";
import { runCommand } from "../machine/run-command.js";
import { SLUICE_CLI } from "../program-paths.js";
import type { Reading } from "./experiments.js";

/** Without a wait between two: a pause is seen whole. */
async function longestPauseMs(root: string, during: () => Promise<unknown>): Promise<number> {
  let over = false;
  let longest = 0;
  const change = during().finally(() => {
    over = true;
  });
  // `change`, which is waited for below, reports a failure.
  change.catch(() => undefined);
  for (let count = 0; !over; count++) {
    const begun = performance.now();
    // A name that nobody has, and another each time: the kernel knows no answer.
    await stat(join(root, "tree", `absent${count}`)).catch(() => undefined);
    longest = Math.max(longest, performance.now() - begun);
  }
  await change;
  return longest;
}

async function restoredInMs(root: string): Promise<number> {
  const { stdout } = await runCommand(process.execPath, [SLUICE_CLI, "status", "--json", root]);
  return (JSON.parse(stdout) as { keeper: { restoredInMs: number | null } | null }).keeper?.restoredInMs ?? Number.NaN;
}

/** From SIGKILL until a request that was made after it has its answer. */
async function killedPauseMs(root: string): Promise<number> {
  const server = processWith("mount-server", processesNaming(root));
  if (server === undefined) return Number.NaN;
  const begun = performance.now();
  process.kill(server, "SIGKILL");
  await stat(join(root, "tree", "absent")).catch(() => undefined);
  return performance.now() - begun;
}

export async function takeOvers(root: string): Promise<Reading[]> {
  const killed = await killedPauseMs(root);
  const restored = await restoredInMs(root);
  const upgrade = await longestPauseMs(root, () => runCommand(process.execPath, [SLUICE_CLI, "upgrade", root]));
  return [
    { name: "pause when the server is killed", unit: "ms", value: killed },
    { name: "of that, restoring", unit: "ms", value: restored },
    { name: "longest pause in an upgrade", unit: "ms", value: upgrade },
  ];
}
