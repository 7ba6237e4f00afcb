// Loads the programs of the bundle. V8 takes the compiled code of a chunk from the cache beside it, if there is one: compiling takes
// most of the time in which a program starts. Node's own loader of modules has no such caches before version 22.
// make-caches.cjs alone writes caches, in the build or when a package is installed. One that does not belong to this chunk and this Node
// is not used.
"use strict";
const { isAscii } = require("node:buffer");
const { readFileSync, statSync } = require("node:fs");
const { dirname, join } = require("node:path");
const vm = require("node:vm");

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
const THREADS = "node:worker_threads";
/** An end sooner than that reads less. */
const HOLD_AFTER_MS = 2_000;
/** The first line of every chunk, `// build 0123456789abcdef`, names the build that it belongs to. */
const BUILD_BYTES = 26;
/** The data of a thread's environment that has it. */
const BUILD = "sluice build";
/** The flags that keepPausesShort (packages/runtime) changes, and their values before. */
const SHORT_PAUSES = {
  on: "--semi-space-growth-factor=1 --no-parallel-scavenge --no-concurrent-array-buffer-sweeping",
  off: "--semi-space-growth-factor=2 --parallel-scavenge --concurrent-array-buffer-sweeping",
};

/** A later one may warn of the binding, or have taken it away. */
const LAST_NODE_WITH_BINDING = 24;

/** Whether Node says nothing about a use of its bindings. */
function bindingsAreSilent() {
  const { NODE_OPTIONS = "", NODE_PENDING_DEPRECATION } = process.env;
  const options = `${process.execArgv.join(" ")} ${NODE_OPTIONS}`;
  const isKnown = Number.parseInt(process.versions.node, 10) <= LAST_NODE_WITH_BINDING;
  return isKnown && NODE_PENDING_DEPRECATION !== "1" && !options.includes("--pending-deprecation");
}

/**
 * The function of node:zlib, by the binding below it: that module takes longer to load than all checksums.
 * @returns {(data: string | Buffer, value?: number) => number}
 */
function findChecksum() {
  // @ts-expect-error Node's types do not have it.
  const { crc32 } = bindingsAreSilent() ? process.binding("zlib") : {};
  return typeof crc32 === "function" ? (data, value = 0) => crc32(data, value) : require("node:zlib").crc32;
}

const crc32 = findChecksum();

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
 * The module that changes flags, the tag of the initial ones, and the function that knows modules of Node. Node loads them for 2 ms, so this
 * waits for a chunk that wants the first.
 * @type {{ v8: typeof import("node:v8"), initialFlags: number, isBuiltin: typeof import("node:module").isBuiltin } | undefined}
 */
let flags;

function requireV8() {
  const v8 = require(V8);
  flags ??= { v8, initialFlags: v8.cachedDataVersionTag(), isBuiltin: require("node:module").isBuiltin };
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

/** Of the first chunk, or of the process that this is a thread of: a chunk of another build has other functions. @type {Buffer | undefined} */
let build;

/** The package was replaced or removed since this program started. `forPerson` of packages/runtime knows its name and fields. */
class ReplacedError extends Error {
  /** @param {string} file @param {string} problem @param {unknown} [cause] */
  constructor(file, problem, cause) {
    const remedy = "restart it, or if a keeper or a host service started it, run 'sluice upgrade'";
    super(`${file}: ${problem} since this program started: ${remedy}`, { cause });
    Object.assign(this, { name: "ReplacedError", object: file, problem: `${problem} since this program started`, remedy });
  }
}

/** @param {string} file @returns {Buffer} @throws ReplacedError */
function readChunk(file) {
  let source;
  try {
    source = readFileSync(file);
  } catch (cause) {
    const isGone = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
    throw build === undefined || !isGone ? cause : new ReplacedError(file, "the file was removed (ENOENT)", cause);
  }
  build ??= source.subarray(0, BUILD_BYTES);
  if (!build.equals(source.subarray(0, BUILD_BYTES)))
    throw new ReplacedError(file, "another build of Sluice has replaced the file (ESTALE)");
  return source;
}

/** @typedef {Record<string, any>} Exports */
/** @type {Map<string, { exports: Exports, source: Buffer, script: vm.Script }>} by path */
const loaded = new Map();

/** V8 takes Node's own caches, of Node's own modules, with its initial flags alone. @param {string} name */
function requireWithInitialFlags(name) {
  if (flags === undefined || hasInitialFlags() || !flags.isBuiltin(name)) return require(name);
  const { v8 } = flags;
  v8.setFlagsFromString(SHORT_PAUSES.off);
  try {
    return require(name);
  } finally {
    v8.setFlagsFromString(SHORT_PAUSES.on);
  }
}

/** @param {string} name */
function requireOutside(name) {
  if (name === V8) return requireV8();
  const found = requireWithInitialFlags(name);
  // A thread takes chunks of the same build alone.
  if (name === THREADS) found.setEnvironmentData(BUILD, build?.toString());
  return found;
}

/** In one string from the first: V8 would copy a joined one, and collect garbage for the parts. @param {Buffer} source */
function textOf(source) {
  const text = Buffer.concat([BEGINNING, source, ENDING]);
  return text.toString(isAscii(source) ? "latin1" : "utf8");
}

/** Texts of chunks that nobody has used yet. @type {Map<string, Buffer>} by path */
const held = new Map();
/** @type {{ directory: string, names: readonly string[] }[]} */
const toHold = [];
let holds = false;

/**
 * The package may be replaced while a program works, and its late chunks are of another build then. So a program that goes on for some seconds
 * holds the texts of these: loading them would take ten times the memory. @param {string} directory @param {readonly string[]} names
 */
function holdInTime(directory, names) {
  toHold.push({ directory, names });
  if (holds) return;
  holds = true;
  setTimeout(holdNext, HOLD_AFTER_MS).unref();
}

/** @param {string} file */
function hold(file) {
  try {
    if (!loaded.has(file) && !held.has(file)) held.set(file, readChunk(file));
  } catch {
    // Its first use tells.
  }
}

/** The chunks of one importer in a turn of the event loop. */
function holdNext() {
  const next = toHold.pop();
  holds = next !== undefined;
  if (next === undefined) return;
  for (const name of next.names) hold(chunkAt(next.directory, name));
  setImmediate(holdNext).unref();
}

/** @param {string} file @returns {Buffer} */
function textFor(file) {
  const text = held.get(file);
  held.delete(file);
  try {
    // V8 takes a cache for it.
    return readChunk(file);
  } catch (error) {
    if (text === undefined) throw error;
    return text;
  }
}

/**
 * As `join`: a start resolves some 200 names, and V8 would optimize that function for it, which takes longer than all calls.
 * @param {string} directory @param {string} name
 */
function chunkAt(directory, name) {
  let [place, rest] = [directory, name.startsWith("./") ? name.slice(2) : name];
  for (; rest.startsWith("../"); rest = rest.slice(3)) place = dirname(place);
  return `${place}/${rest}`;
}

/** @param {string} file in __dirname @returns {Exports} */
function load(file) {
  const known = loaded.get(file);
  if (known !== undefined) return known.exports;
  const source = textFor(file);
  // A cache holds this name, which must not show where it was made; a part of a string would bring the whole along.
  const filename = Buffer.from(file.slice(__dirname.length + 1)).toString();
  const script = new vm.Script(textOf(source), { filename, cachedData: cachedData(file, source) });
  /** @type {Exports} */
  const exports = {};
  loaded.set(file, { exports, source, script });
  const directory = dirname(file);
  /** @param {string} name a chunk, or a module that stays outside */
  const requireFrom = (name) => (name.startsWith(".") ? load(chunkAt(directory, name)) : requireOutside(name));
  /** @param {Record<string, string>} chunks by the names that the text has for them @param {readonly string[]} all that these load */
  requireFrom.late = (chunks, all) => {
    const late = {};
    for (const [name, path] of Object.entries(chunks)) {
      /** @type {Exports | undefined} */
      let found;
      Object.defineProperty(late, name, { get: () => (found ??= requireFrom(path)) });
    }
    holdInTime(directory, all);
    return late;
  };
  try {
    script.runInThisContext()(exports, requireFrom, file);
  } catch (error) {
    // The file may come back.
    if (error instanceof ReplacedError) loaded.delete(file);
    throw error;
  }
  return exports;
}

/** Runs a program to the end of its main function. @param {string} path of the program in the bundle @returns {Promise<void>} */
async function run(path) {
  const unfinished = () => void (process.exitCode ??= EXIT_UNFINISHED);
  process.once("exit", unfinished);
  await load(join(CHUNKS, path))["default"]();
  process.off("exit", unfinished);
}

/** The same in a thread. @param {string} path */
async function runThread(path) {
  const parent = require(THREADS).getEnvironmentData(BUILD);
  build = parent === undefined ? undefined : Buffer.from(parent);
  await run(path);
}

module.exports = {
  CHUNKS,
  HEADER_BYTES,
  SHORT_PAUSES,
  WRAPPER,
  cachePath,
  cachedData,
  checksum,
  held,
  identity,
  load,
  loaded,
  run,
  runThread,
};
