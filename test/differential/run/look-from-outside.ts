/** Reads a mounted tree through another process. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { scratch } from "@sluice/testkit";
import type { Snapshot } from "../../conformance/tree/snapshot-tree.js";

const LOOK_PROCESS = fileURLToPath(new URL("../dist/differential/run/look-process.js", import.meta.url));
const LIMIT_MS = 180_000;
const run = promisify(execFile);

/** @throws if it cannot be read in time */
export async function lookFromOutside(mountpoint: string): Promise<Snapshot> {
  const output = `${scratch()}/tree.json`;
  await run(process.execPath, [LOOK_PROCESS, output, mountpoint], { timeout: LIMIT_MS, killSignal: "SIGKILL" });
  return JSON.parse(readFileSync(output, "utf8")) as Snapshot;
}
