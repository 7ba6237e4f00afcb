// Loaded into a daemon by NODE_OPTIONS=--import: while the file SLUICE_HOLD_READS exists, reads of layers wait for its removal;
// ".held" beside it has a character for each.
import { appendFileSync, existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { withParts } from "../../fault/harness/program-parts.mjs";

const file = process.env["SLUICE_HOLD_READS"] ?? "";
const EAGAIN = 11;
const POLL_MS = 5;

/** @param {{ native: typeof import("@sluice/native").native }} parts */
function holdReads({ native }) {
  const { pread, preadAsync } = native;
  native.pread = (...args) => (existsSync(file) ? -EAGAIN : pread(...args));
  native.preadAsync = async (...args) => {
    if (existsSync(file)) appendFileSync(`${file}.held`, "x");
    while (existsSync(file)) await sleep(POLL_MS);
    return preadAsync(...args);
  };
}

await withParts({ native: () => import("@sluice/native") }, holdReads);
