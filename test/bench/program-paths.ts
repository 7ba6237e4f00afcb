/** The paths of the benchmark's own parts and of the command it measures. */
import { fileURLToPath } from "node:url";

// This module runs from dist/.
const BENCH = new URL("../", import.meta.url);

export const LOAD_SOURCES = fileURLToPath(new URL("load/", BENCH));
export const SLUICE_CLI = fileURLToPath(new URL("../../packages/cli/bin/sluice.cjs", BENCH));
/** Loaded by a daemon whose pauses are watched. */
export const WATCH_PAUSES = fileURLToPath(new URL("costs/watch-pauses.mjs", BENCH));
/** The files of the repository that an image holds. */
export const COLLECT_RUNTIME = fileURLToPath(new URL("../../deploy/docker/collect-runtime.mjs", BENCH));
