/** Reads trees through another process. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { scratch } from "@sluice/testkit";
import type { Snapshot } from "../../conformance/tree/snapshot-tree.js";

const LOOK_PROCESS = fileURLToPath(new URL("../dist/differential/run/look-process.js", import.meta.url));
const LIMIT_MS = 60_000;
const run = promisify(execFile);

export interface Tree {
  kind: "merged" | "upper" | "lower";
  path: string;
}

/** In the order of the arguments. @throws if one cannot be read in time */
export async function look(trees: readonly Tree[]): Promise<Snapshot[]> {
  const output = `${scratch()}/trees.json`;
  const args = trees.map(({ kind, path }) => `${kind}=${path}`);
  await run(process.execPath, [LOOK_PROCESS, output, ...args], { timeout: LIMIT_MS, killSignal: "SIGKILL" });
  return JSON.parse(readFileSync(output, "utf8")) as Snapshot[];
}
