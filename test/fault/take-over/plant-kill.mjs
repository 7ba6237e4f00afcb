// Loaded into a server by NODE_OPTIONS=--import: kills it at a named point, before or after one of its calls. The point is
// drawn from SLUICE_KILL_SEED and the number of server starts, which the file SLUICE_KILL_COUNT holds. The kills begin when the file
// beside it, ".mounted", is there, and end at the time in it.
import { createHash } from "node:crypto";
import { appendFileSync, readFileSync } from "node:fs";
import { withParts } from "../harness/program-parts.mjs";
import { LAYER_CALLS } from "./layer-calls.mjs";

/** In the order of a request: recorded, intended, done, answer recorded, answer sent, ended. */
const REQUEST = ["begin", "intend", "answer", "end"];
/** The largest number of calls in the life of a server. */
const CALLS = { request: 150, layer: 15, write: 600, openat2: 250 };

/** @returns {never} */
function die() {
  process.kill(process.pid, "SIGKILL");
  for (;;);
}

/** @param {{ native: typeof import("@sluice/native").native, RequestRecords: typeof import("@sluice/journal").RequestRecords }} parts */
function plant({ native, RequestRecords }) {
  const countFile = process.env["SLUICE_KILL_COUNT"] ?? "";
  const start = readFileSync(countFile).length;
  appendFileSync(countFile, ".");
  const digest = createHash("sha256").update(`${process.env["SLUICE_KILL_SEED"]}/${start}`).digest();
  const points = [...REQUEST, ...REQUEST, ...LAYER_CALLS, "write", "openat2"];
  const point = /** @type {string} */ (points[digest.readUInt32LE(0) % points.length]);
  /** @type {Record<string, (...args: unknown[]) => unknown>} */
  const owner = REQUEST.includes(point) ? /** @type {never} */ (RequestRecords.prototype) : /** @type {never} */ (native);
  const calls = REQUEST.includes(point) ? CALLS.request : point === "write" || point === "openat2" ? CALLS[point] : CALLS.layer;
  let left = 1 + (digest.readUInt32LE(4) % calls);
  const after = digest.readUInt32LE(8) % 2 === 1;
  const real = /** @type {(...args: unknown[]) => unknown} */ (owner[point]);
  let untilMs = 0;
  /** The first server lives until the mount is there: its death would be a mount that failed, which no other server continues. */
  const armed = () => {
    try {
      untilMs ||= Number(readFileSync(`${countFile}.mounted`, "latin1"));
    } catch {
      // It is not there yet.
    }
    return Date.now() < untilMs;
  };
  /** @this {unknown} @param {unknown[]} args */
  owner[point] = function (...args) {
    if (!armed() || --left > 0) return real.apply(this, args);
    const result = after ? real.apply(this, args) : undefined;
    return result instanceof Promise ? result.then(die) : die();
  };
}

if (process.argv.includes("mount-server"))
  await withParts({ native: () => import("@sluice/native"), RequestRecords: () => import("@sluice/journal") }, plant);
