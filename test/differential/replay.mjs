#!/usr/bin/env node
// Runs one script of the differential test and shows the result of each call: `node test/differential/replay.mjs FILE`.
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const [file] = process.argv.slice(2);
if (file === undefined) {
  console.error("usage: node test/differential/replay.mjs FILE");
  process.exit(2);
}
const vitest = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url));
const env = { ...process.env, SLUICE_DIFFERENTIAL_SCRIPT: resolve(file) };
const ran = spawnSync(process.execPath, [vitest, "run", "test/differential/differential.test.ts"], {
  cwd: root,
  env,
  stdio: "inherit",
});
process.exit(ran.status ?? 1);
