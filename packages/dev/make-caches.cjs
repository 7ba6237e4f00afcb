// Makes the caches of the bundle that it lies in (chunk-loader.cjs): it loads every chunk, which runs no program, and writes down what V8
// has compiled by then. Equal chunks and an equal Node make equal bytes. It changes nothing outside of the bundle.
"use strict";
const { spawnSync } = require("node:child_process");
const { chmodSync, readdirSync, rmSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const { setFlagsFromString } = require("node:v8");
const { CHUNKS, HEADER_BYTES, cachePath, checksum, identity, load, loaded } = require("./chunk-loader.cjs");

/** Chance must not show in the bytes, nor memory that was used before, of which V8 writes some: in so large a heap nothing is collected. */
const SAME_BYTES = ["--hash-seed=1", "--initial-heap-size=1024"];
const SAME_BYTES_OFF = ["--hash-seed=0", "--initial-heap-size=0"];
/** As keepPausesShort sets it (packages/runtime). */
const SHORT_PAUSES = "--semi-space-growth-factor=1";

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

function make() {
  for (const file of filesIn(".cache")) rmSync(file);
  for (const file of filesIn("js")) {
    try {
      load(file);
    } catch {
      // A package outside of the bundle is not there, or is for another machine: what is compiled is written down.
    }
  }
  if (identity === undefined) return;
  for (const flag of SAME_BYTES_OFF) setFlagsFromString(flag);
  writeCaches("initial");
  setFlagsFromString(SHORT_PAUSES);
  writeCaches("short-pauses");
}

if (process.execArgv.length > 0) {
  make();
  process.exit();
}
process.exitCode = spawnSync(process.execPath, [...SAME_BYTES, __filename], { env: {}, stdio: "inherit" }).status ?? 1;
