// Loads the programs of the bundle. V8 takes the compiled code of a chunk from the cache beside it, if there is one: compiling takes
// most of the time in which a program starts. Node's own loader of modules has no such caches before version 22.
// make-caches.cjs alone writes caches, in the build or when a package is installed. One that does not belong to this chunk and this Node
// is not used.
"use strict";
const { isAscii } = require("node:buffer");
const { readFileSync, statSync } = require("node:fs");
const { isBuiltin } = require("node:module");
const { dirname, join, relative } = require("node:path");
const vm = require("node:vm");
const { crc32 } = require("node:zlib");

const CHUNKS = join(__dirname, "chunks");
/** In front of a cache: a checksum in 8 bytes, since V8 wants the rest aligned. */
const HEADER_BYTES = 8;
/** In front of the text of a chunk, which is a function. */
const WRAPPER = "(function (exports, require, __filename) {";
const BEGINNING = Buffer.from(WRAPPER);
const ENDING = Buffer.from("\n})");
/** Of Node, for a program that waits for something that cannot happen any more. */
const EXIT_UNFINISHED = 13;
const V8 = "node:v8";
/** An end sooner than that loads less. */
const REST_AFTER_MS = 2_000;
/** The flags that keepPausesShort (packages/runtime) changes, and their values before. */
const SHORT_PAUSES = {
  on: "--semi-space-growth-factor=1 --no-parallel-scavenge",
  off: "--semi-space-growth-factor=2 --parallel-scavenge",
};

/** This Node. V8 compares less: another build of the same version could read a cache wrongly. Undefined: it cannot be known. */
function nodeIdentity() {
  try {
    const { size, mtimeMs } = statSync(process.execPath);
    return crc32(`${process.version} ${process.arch} ${size} ${Math.floor(mtimeMs / 1000)}`);
  } catch {
    // A thread of a process that became a user who cannot reach it.
    return undefined;
  }
}

const identity = nodeIdentity();

/** @typedef {"initial" | "short-pauses"} Flags that V8 has; it refuses a cache that was made with others */
/** @param {string} file @param {Flags} flags */
const cachePath = (file, flags) => `${file}.${flags}.cache`;

/** Of a cache and everything that it belongs to. V8 itself looks at little more than lengths. @param {Buffer} source @param {Buffer} data */
const checksum = (source, data) => crc32(data, crc32(source, identity));

/**
 * The module that changes flags, and the tag of the initial ones. Node loads it for 2 ms, so this waits for a chunk that wants it.
 * @type {{ v8: typeof import("node:v8"), initialFlags: number } | undefined}
 */
let flags;

function requireV8() {
  const v8 = require(V8);
  flags ??= { v8, initialFlags: v8.cachedDataVersionTag() };
  return v8;
}

/** keepPausesShort alone changes flags. */
const hasInitialFlags = () => flags === undefined || flags.v8.cachedDataVersionTag() === flags.initialFlags;

/** @param {string} file @param {Buffer} source */
function cachedData(file, source) {
  let cache;
  try {
    cache = readFileSync(cachePath(file, hasInitialFlags() ? "initial" : "short-pauses"));
  } catch {
    return undefined;
  }
  const data = cache.subarray(HEADER_BYTES);
  const isOurs = identity !== undefined && cache.length > HEADER_BYTES && cache.readUInt32LE(0) === checksum(source, data);
  return isOurs ? data : undefined;
}

/** @typedef {Record<string, any>} Exports */
/** @type {Map<string, { exports: Exports, source: Buffer, script: vm.Script }>} by path */
const loaded = new Map();

/** V8 takes Node's own caches, of Node's own modules, with its initial flags alone. @param {string} name */
function requireOutside(name) {
  if (name === V8) return requireV8();
  if (flags === undefined || hasInitialFlags() || !isBuiltin(name)) return require(name);
  const { v8 } = flags;
  v8.setFlagsFromString(SHORT_PAUSES.off);
  try {
    return require(name);
  } finally {
    v8.setFlagsFromString(SHORT_PAUSES.on);
  }
}

/** In one string from the first: V8 would copy a joined one, and collect garbage for the parts. @param {Buffer} source */
function textOf(source) {
  const text = Buffer.concat([BEGINNING, source, ENDING]);
  return text.toString(isAscii(source) ? "latin1" : "utf8");
}

/** @type {(() => void)[]} */
const rest = [];
let restIsDue = false;

/**
 * A package may be replaced while a command works. A chunk that it loads by then would be of another version, so a command that goes on for some
 * seconds loads all of them, one in a turn of the event loop. @param {() => void} get
 */
function loadInTime(get) {
  rest.push(get);
  if (restIsDue) return;
  restIsDue = true;
  setTimeout(loadRest, REST_AFTER_MS).unref();
}

function loadRest() {
  rest.pop()?.();
  restIsDue = rest.length > 0;
  if (restIsDue) setImmediate(loadRest).unref();
}

/** @param {string} file @returns {Exports} */
function load(file) {
  const known = loaded.get(file);
  if (known !== undefined) return known.exports;
  const source = readFileSync(file);
  // A cache holds this name, which must not show where it was made; a part of a string would bring the whole along.
  const filename = Buffer.from(relative(__dirname, file)).toString();
  const script = new vm.Script(textOf(source), { filename, cachedData: cachedData(file, source) });
  /** @type {Exports} */
  const exports = {};
  loaded.set(file, { exports, source, script });
  /** @param {string} name a chunk, or a module that stays outside */
  const requireFrom = (name) => (name.startsWith(".") ? load(join(dirname(file), name)) : requireOutside(name));
  /** @param {Record<string, string>} chunks by the names that the text has for them */
  requireFrom.late = (chunks) => {
    const late = {};
    for (const [name, path] of Object.entries(chunks)) {
      /** @type {Exports | undefined} */
      let found;
      const get = () => (found ??= requireFrom(path));
      Object.defineProperty(late, name, { get });
      loadInTime(get);
    }
    return late;
  };
  script.runInThisContext()(exports, requireFrom, file);
  return exports;
}

/** Runs a program to the end of its main function. @param {string} path of the program in the bundle @returns {Promise<void>} */
async function run(path) {
  const unfinished = () => void (process.exitCode ??= EXIT_UNFINISHED);
  process.once("exit", unfinished);
  await load(join(CHUNKS, path))["default"]();
  process.off("exit", unfinished);
}

module.exports = { CHUNKS, HEADER_BYTES, SHORT_PAUSES, WRAPPER, cachePath, cachedData, checksum, identity, load, loaded, run };
