// Loaded into a server by NODE_OPTIONS=--import: kills it within the next request that must be done exactly once, before call
// number N of that request, as the file SLUICE_STEP_FILE says; ".killed" beside that file says that it did, and ".over" that there were
// fewer calls.
import { readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { withParts } from "../harness/program-parts.mjs";
import { LAYER_CALLS } from "./layer-calls.mjs";

const file = process.env["SLUICE_STEP_FILE"] ?? "";
const CALLS = [...LAYER_CALLS, "openat", "openat2", "write"];
const NODES = [
  "addNode",
  "addAlias",
  "addName",
  "removeName",
  "changeName",
  "setNameless",
  "setLookups",
  "setLink",
  "setId",
  "flag",
  "remove",
];
const HANDLES = ["addFile", "attach", "remove"];
const REQUESTS = ["intend", "withdraw", "answer", "end"];

let left = 0;
let counting = false;

function step() {
  if (!counting || --left > 0) return;
  writeFileSync(`${file}.killed`, "");
  process.kill(process.pid, "SIGKILL");
  for (;;);
}

/** @param {object} owner @param {readonly string[]} names */
function wrap(owner, names) {
  const methods = /** @type {Record<string, (...args: unknown[]) => unknown>} */ (owner);
  for (const name of names) {
    const real = /** @type {(...args: unknown[]) => unknown} */ (methods[name]);
    if (typeof real !== "function") throw new Error(`there is no ${name} to count`);
    /** @this {unknown} @param {unknown[]} args */
    methods[name] = function (...args) {
      step();
      return real.apply(this, args);
    };
  }
}

function arm() {
  try {
    left = Number(readFileSync(file, "latin1"));
  } catch {
    return;
  }
  // The next server must live.
  unlinkSync(file);
  counting = true;
}

/** @param {Record<"native" | "NodeRecords" | "HandleRecords" | "RequestRecords", any>} parts */
function plant({ native, NodeRecords, HandleRecords, RequestRecords }) {
  wrap(native, CALLS);
  wrap(NodeRecords.prototype, NODES);
  wrap(HandleRecords.prototype, HANDLES);
  wrap(RequestRecords.prototype, REQUESTS);
  const { begin, end } = RequestRecords.prototype;
  /** @this {import("@sluice/journal").RequestRecords} @param {unknown[]} args */
  RequestRecords.prototype.begin = function (...args) {
    arm();
    step();
    return begin.apply(this, args);
  };
  /** @this {import("@sluice/journal").RequestRecords} @param {number} slot */
  RequestRecords.prototype.end = function (slot) {
    end.call(this, slot);
    if (!counting) return;
    counting = false;
    writeFileSync(`${file}.over`, "");
  };
}

const journal = () => import("@sluice/journal");
const sources = {
  native: () => import("@sluice/native"),
  NodeRecords: journal,
  RequestRecords: journal,
  HandleRecords: () => import(new URL("../../../packages/journal/dist/handle-records.js", import.meta.url).href),
};
if (process.argv.includes("mount-server")) await withParts(sources, plant);
