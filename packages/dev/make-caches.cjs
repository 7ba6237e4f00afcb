// Makes the caches of the bundle that it lies in (chunk-loader.cjs): it loads every chunk, which runs no program, has V8 compile the
// functions of starts.json, and writes down what V8 has compiled by then. Equal chunks and an equal Node make equal bytes. It changes nothing outside of the bundle.
"use strict";
const { spawnSync } = require("node:child_process");
const { chmodSync, readFileSync, readdirSync, rmSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const { setFlagsFromString } = require("node:v8");
const { CHUNKS, HEADER_BYTES, SHORT_PAUSES, cachePath, checksum, identity, load, loaded } = require("./chunk-loader.cjs");

/** Chance must not show in the bytes, nor memory that was used before, of which V8 writes some: in so large a heap nothing is collected. */
const SAME_BYTES = ["--hash-seed=1", "--initial-heap-size=1024"];
const SAME_BYTES_OFF = ["--hash-seed=0", "--initial-heap-size=0"];
/** V8 looks through the whole heap for each function with machine code that it is asked for breakpoints of: half of the time here. */
const NO_MACHINE_CODE = "--no-sparkplug";
const NO_MACHINE_CODE_OFF = "--sparkplug";
/** @param {string} ending */
const filesIn = (ending) =>
  readdirSync(CHUNKS, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => join(CHUNKS, name));

/** @param {"initial" | "short-pauses"} flags */
function writeCaches(flags) {
  for (const [file, { source, script }] of loaded) {
    const data = script.createCachedData();
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(checksum(source, data));
    const path = cachePath(file, flags);
    writeFileSync(path, Buffer.concat([header, data]), { mode: 0o644 });
    // Whatever the umask: every user reads it.
    chmodSync(path, 0o644);
  }
}

function loadAll() {
  for (const file of filesIn("js")) {
    try {
      load(file);
    } catch {
      // A package outside of the bundle is not there, or is for another machine: what is compiled is written down.
    }
  }
}

/** Loads every chunk, and has V8 compile what programs call when they start. It calls none of that: V8 tells where breakpoints could be. */
function loadAndCompile() {
  /** @type {Record<string, [lineNumber: number, columnNumber: number][]>} */
  const starts = JSON.parse(readFileSync(join(__dirname, "starts.json"), "utf8"));
  const { Session } = require("node:inspector");
  const session = new Session();
  const ids = new Map();
  session.connect();
  session.on("Debugger.scriptParsed", ({ params: { url, scriptId } }) => ids.set(url, scriptId));
  session.post("Debugger.enable");
  loadAll();
  for (const [name, places] of Object.entries(starts))
    for (const [lineNumber, columnNumber] of places) {
      const [start, end] = [columnNumber, columnNumber + 1].map((column) => ({
        scriptId: ids.get(name),
        lineNumber,
        columnNumber: column,
      }));
      session.post("Debugger.getPossibleBreakpoints", { start, end, restrictToFunction: true });
    }
  session.disconnect();
}

function make() {
  for (const file of filesIn(".cache")) rmSync(file);
  if (process.features.inspector) loadAndCompile();
  else loadAll();
  if (identity === undefined) return;
  for (const flag of [...SAME_BYTES_OFF, NO_MACHINE_CODE_OFF]) setFlagsFromString(flag);
  writeCaches("initial");
  setFlagsFromString(SHORT_PAUSES.on);
  writeCaches("short-pauses");
}

if (process.execArgv.length > 0) {
  make();
  process.exit();
}
process.exitCode = spawnSync(process.execPath, [...SAME_BYTES, NO_MACHINE_CODE, __filename], { env: {}, stdio: "inherit" }).status ?? 1;
