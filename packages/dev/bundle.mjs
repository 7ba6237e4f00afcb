// Joins the output of `tsc -b` into few files, below bundle/: Node reads and links hundreds of modules for longer than a mount takes.
// bundle/ has the shape of the checkout (bundle/packages/cli/dist/main.js, …), so that a module finds a file beside itself
// there, and it is deployed: deploy/docker/collect-runtime.mjs copies it with the few packages that stay outside. The modules become
// CommonJS, since chunk-loader.cjs starts that faster, from caches of compiled code.
// Does nothing if nothing changed. Run by itself, it is the second half of `npm run build`.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { root } from "./build.mjs";
import { loadLate } from "./late-chunks.mjs";
import { nameFunctions } from "./name-functions.mjs";

const OUT = join(root, "bundle");
/** Its inputs, for the commands in bin/, which take dist/ if one has changed since. Written last: with it the bundle is whole. */
const INPUTS = join(OUT, "inputs.json");

/** The programs, each started by path: by a name in bin/, by another program, as a worker, or in a container. */
const PROGRAMS = [
  "deploy/docker/decision-health.mjs",
  "deploy/docker/mount-health.mjs",
  "deploy/docker/publish-policy.mjs",
  "packages/cli/dist/decision-child.js",
  "packages/cli/dist/keeper-main.js",
  "packages/cli/dist/main.js",
  "packages/overlayfs-cli/dist/mount-helper-main.js",
  "packages/overlayfs-cli/dist/overlayfs-main.js",
  "packages/overlayfs-cli/dist/serve-main.js",
  "packages/overlayfs-cli/dist/umount-helper-main.js",
  "packages/policy-backends/dist/cedar/cedar-worker.js",
  "packages/policy-backends/dist/opa-wasm/opa-wasm-worker.js",
  "packages/policy-backends/dist/rules/rules-worker.js",
  "services/decision/dist/console/caller-worker.js",
  "services/decision/dist/main.js",
  "services/mount/dist/enforcement/facts/digest-worker.js",
];

/** The programs that the commands in bin/ start. */
export const COMMANDS = {
  "packages/cli/bin/sluice.cjs": "packages/cli/dist/main.js",
  "packages/overlayfs-cli/bin/mount.fuse.sluice.cjs": "packages/overlayfs-cli/dist/mount-helper-main.js",
  "packages/overlayfs-cli/bin/sluice-overlayfs.cjs": "packages/overlayfs-cli/dist/overlayfs-main.js",
  "packages/overlayfs-cli/bin/umount.fuse.sluice.cjs": "packages/overlayfs-cli/dist/umount-helper-main.js",
  "services/decision/bin/sluice-decision.cjs": "services/decision/dist/main.js",
};

/** The names of the functions that programs call when they start (record-starts.mjs). */
export const STARTED_FUNCTIONS = join(root, "packages/dev/started-functions.txt");

/** They load the chunks, and stay as they are. */
const LOADER = "chunk-loader.cjs";
const CACHE_MAKER = "make-caches.cjs";
/** Read by the maker of caches. */
const STARTS = "starts.json";

/** Found beside a module, and no module. */
const BESIDE = ["packages/native/build", "services/decision/console", "services/decision/presets"];

/** Served to browsers from BESIDE, through links. */
const SERVED = ["node_modules/uplot/dist/uPlot.iife.min.js"];

/** Packages that stay outside: an addon, packages that find files by their own place, and packages that are loaded by name at run time. */
export const OUTSIDE = ["@cedar-policy/cedar-wasm", "fuse-native"];

/** Packages that are neither inside nor deployed: only functions that nobody here calls load them (channelz, ORCA). */
const NEVER_LOADED = ["@grpc/proto-loader"];

/** Packages that name their place, but only in functions that nobody here calls (channelz, ORCA, pino's transports). */
const NAME_THEIR_PLACE = new Set(["@grpc/grpc-js", "pino", "thread-stream", "commander"]);

/**
 * Modules that few runs of their importers need. Each has a chunk of its own, which its first use loads (late-chunks.mjs).
 * Their importers import them like any other module, and use nothing of them while they are loaded themselves.
 */
export const LOADED_LATE = [
  "packages/changes/dist/aspects.js",
  "packages/changes/dist/describe.js",
  "packages/changes/dist/patch/git-patch.js",
  "packages/cli/dist/review/apply-session.js",
  "packages/cli/dist/review/ask-terminal.js",
  "packages/cli/dist/review/show-changes.js",
  "packages/layer-tools/dist/copy-object.js",
  "packages/layer-tools/dist/layer-stack.js",
  "packages/layer-tools/dist/read-object.js",
  "packages/layer-tools/dist/walk-layers.js",
  "packages/layer-tools/dist/write-layer.js",
  "packages/policy-backends/dist/kinds.js",
  "packages/policy-backends/dist/rules/cel.js",
];

const packageOf = (/** @type {string} */ id) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(id)?.[1];

/** A module's own URL is asked for to find what is beside it: in a chunk it stays that of the module, in the tree of the bundle. */
const PLACE = /__sluicePlace\("([^"]+)"\)/g;

/** @type {import("rolldown").Plugin} */
const places = {
  name: "places",
  transform(code, id) {
    if (id.startsWith("\0")) return undefined;
    const name = packageOf(id);
    if (name === undefined) return code.replaceAll("import.meta.url", `__sluicePlace("${relative(root, id)}")`);
    if (/\b__(dir|file)name\b/.test(code) && !NAME_THEIR_PLACE.has(name))
      this.error(`${name} finds files by its place: name it in OUTSIDE of packages/dev/bundle.mjs, or see that nobody calls what does`);
    return undefined;
  },
  renderChunk(code, { fileName }) {
    return code.replace(PLACE, (_, path) => {
      const from = relative(dirname(fileName), path);
      return `new URL(${JSON.stringify(from.startsWith(".") ? from : `./${from}`)}, require("node:url").pathToFileURL(__filename)).href`;
    });
  },
};

const EARLY = "const childProcess = require('node:child_process');";
const LATE = "const childProcess = { spawn: (...words) => require('node:child_process').spawn(...words) };";

/** A command that starts no other program does not wait for the module that could. @type {import("rolldown").Plugin} */
const later = {
  name: "later",
  transform(code, id) {
    if (!id.endsWith("/node_modules/commander/lib/command.js")) return undefined;
    if (!code.includes(EARLY)) this.error("commander has another text: change EARLY in packages/dev/bundle.mjs");
    return code.replace(EARLY, LATE);
  },
};

/** In front of the path of a module that is loaded late, in an import of it. */
const LATE_PREFIX = "late:";

/** @param {string} path in the checkout */
const chunkName = (path) => `chunks/${path}`;

/**
 * Imports of these modules become imports of something outside, so that no module is in a chunk with one of them, or needs one for its own start.
 * @type {import("rolldown").Plugin}
 */
const late = {
  name: "late",
  buildStart() {
    for (const path of LOADED_LATE) this.emitFile({ type: "chunk", id: join(root, path), name: path.replace(/\.js$/, "") });
  },
  async resolveId(source, importer, { kind }) {
    if (kind !== "import-statement" || importer === undefined || !source.startsWith(".")) return undefined;
    const path = relative(root, join(dirname(importer), source));
    return LOADED_LATE.includes(path) ? { id: `${LATE_PREFIX}${path}`, external: true, moduleSideEffects: false } : undefined;
  },
};

const isProgram = (/** @type {string} */ id) => PROGRAMS.includes(relative(root, id));

/** Behind its imports a program becomes a function, which may wait: CommonJS has no await outside of one. Loading it does not run it. */
const programs = /** @type {import("rolldown").Plugin} */ ({
  name: "programs",
  transform(code, id) {
    if (!isProgram(id)) return undefined;
    const { body } = this.parse(code);
    const at = body.findLast(({ type }) => type === "ImportDeclaration")?.end ?? 0;
    const exported = body.filter(({ type }) => type.startsWith("Export"));
    if (exported.some((node) => !/^export \{ ?\};?$/.test(code.slice(node.start, node.end)))) this.error("a program exports nothing");
    const main = exported.reduce((text, { start, end }) => text.slice(0, start) + " ".repeat(end - start) + text.slice(end), code);
    return `${main.slice(0, at)}\nexport default async function program() {${main.slice(at)}\n}`;
  },
});

/** @param {Iterable<string>} paths in the checkout */
function changedAt(paths) {
  return Object.fromEntries([...paths].map((path) => [path, statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0]));
}

/** Every possible input: the one file that tsc writes with a project tells of its output. */
function candidates() {
  const projects = ["packages", "services"].flatMap((kind) => readdirSync(join(root, kind)).map((name) => `${kind}/${name}`));
  const scripts = PROGRAMS.filter((path) => path.startsWith("deploy/"));
  const own = ["bundle.mjs", "late-chunks.mjs", "name-functions.mjs", basename(STARTED_FUNCTIONS), LOADER, CACHE_MAKER].map(
    (name) => `packages/dev/${name}`,
  );
  return [...projects.map((project) => `${project}/dist/.tsbuildinfo`), ...scripts, "package-lock.json", ...own];
}

/** @param {string} path of a candidate @param {readonly string[]} ids of the modules inside */
function isInput(path, ids) {
  return !path.endsWith("/dist/.tsbuildinfo") || ids.some((id) => relative(root, id).startsWith(dirname(path)));
}

function isUpToDate() {
  if (!existsSync(INPUTS)) return false;
  const made = JSON.parse(readFileSync(INPUTS, "utf8"));
  return Object.entries(changedAt(Object.keys(made))).every(([path, at]) => made[path] === at);
}

/** The licence of a package: a file, or else the beginning of its modules. @param {string} home @param {readonly string[]} ids */
function licenceOf(home, ids) {
  const file = readdirSync(home).find((entry) => /^licen[cs]e/i.test(entry));
  if (file !== undefined) return readFileSync(join(home, file), "utf8");
  const heads = ids
    .filter((id) => id.startsWith(`${home}/`))
    .map((id) => /^(?:\s*(?:\/\/[^\n]*|\/\*[\s\S]*?\*\/))*/.exec(readFileSync(id, "utf8"))?.[0] ?? "");
  return [...new Set(heads.filter((head) => /copyright/i.test(head)))].join("\n\n");
}

/** The licences of the packages inside, as these have them. @param {readonly string[]} ids */
function licences(ids) {
  const homes = new Set(ids.flatMap((id) => /.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? []));
  const texts = [...homes].sort().map((home) => {
    const { name, version, license } = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
    return `${name} ${version} (${license})\n\n${licenceOf(home, ids)}`;
  });
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}

/** @param {string} out the bundle @param {string} path below it @param {string} text */
function write(out, path, text) {
  mkdirSync(dirname(join(out, path)), { recursive: true });
  writeFileSync(join(out, path), text, { mode: path.includes("/bin/") ? 0o755 : 0o644 });
}

/** @param {string} out the bundle @param {string} path in the checkout */
function link(out, path) {
  mkdirSync(dirname(join(out, path)), { recursive: true });
  rmSync(join(out, path), { recursive: true, force: true });
  symlinkSync(relative(dirname(join(out, path)), join(root, path)), join(out, path));
}

/**
 * Chunks are named without a digest: a running program's late import is then still there after a build, as in dist/.
 * @param {string} out @param {readonly import("rolldown").Plugin[]} plugins
 */
async function joinModules(out, plugins) {
  const bundle = await rolldown({
    input: Object.fromEntries(PROGRAMS.map((path) => [path, join(root, path)])),
    platform: "node",
    external: [/^node:/, ...[...OUTSIDE, ...NEVER_LOADED].map((name) => new RegExp(`^${name}(/|$)`))],
    // Of ours a module that nobody uses anything of is left out: none does anything when it is only loaded, but the programs.
    treeshake: { moduleSideEffects: (id) => packageOf(id) !== undefined || isProgram(id) },
    plugins: [...plugins, later, late, places, programs],
    logLevel: "warn",
  });
  const { output } = await bundle.write({
    dir: out,
    format: "cjs",
    exports: "named",
    dynamicImportInCjs: false,
    entryFileNames: "chunks/[name]",
    chunkFileNames: "chunks/[name].js",
    comments: false,
  });
  await bundle.close();
  const chunks = output.filter((file) => file.type === "chunk");
  const made = new Set(chunks.map(({ fileName }) => fileName));
  for (const name of chunksOf(out)) if (!made.has(name)) rmSync(join(out, name));
  loadSomeLate(out, chunks);
  nameBuild(out);
  return output;
}

/** @typedef {import("rolldown").OutputChunk} Chunk */

/** A chunk that is loaded late, as the text of another one names it. */
const LATE_IMPORT = new RegExp(`require\\("${LATE_PREFIX}([^"]+)"\\)`, "g");

/** The names of the chunks that are loaded late by this one. @param {Chunk | undefined} chunk @returns {string[]} */
const lateImports = (chunk) => [...(chunk?.code.matchAll(LATE_IMPORT) ?? [])].map(([, path]) => chunkName(path ?? ""));

/** Adds chunks and all that they load. @param {ReadonlyMap<string, Chunk>} chunks @param {readonly string[]} names @param {Set<string>} found */
function addChunks(chunks, names, found) {
  for (const name of names) {
    const chunk = chunks.get(name);
    if (chunk === undefined || found.has(name)) continue;
    found.add(name);
    addChunks(chunks, chunk.imports, found);
    addChunks(chunks, lateImports(chunk), found);
  }
}

/** A chunk, and all that it loads with itself. @param {ReadonlyMap<string, Chunk>} chunks @param {string} name @param {Set<string>} found */
function withImports(chunks, name, found = new Set()) {
  if (found.has(name)) return found;
  found.add(name);
  for (const other of chunks.get(name)?.imports ?? []) withImports(chunks, other, found);
  return found;
}

/** @param {string} out the bundle @param {readonly Chunk[]} output */
function loadSomeLate(out, output) {
  const chunks = new Map(output.map((chunk) => [chunk.fileName, chunk]));
  for (const chunk of output) {
    const late = lateImports(chunk);
    if (late.length === 0) continue;
    const { fileName } = chunk;
    const early = withImports(chunks, fileName);
    const all = new Set(early);
    addChunks(chunks, late, all);
    const inText = (/** @type {string} */ name) => `./${relative(dirname(fileName), name)}`;
    const held = [...all].filter((name) => !early.has(name)).map(inText);
    const find = (/** @type {string} */ path) =>
      path.startsWith(LATE_PREFIX) ? inText(chunkName(path.slice(LATE_PREFIX.length))) : undefined;
    writeFileSync(join(out, fileName), loadLate(chunk.code, { name: fileName, find, held }));
  }
}

/** A chunk names its build in its first line, so that no program loads parts of two (chunk-loader.cjs). Equal chunks make an equal name. @param {string} out */
function nameBuild(out) {
  const texts = new Map(chunksOf(out).map((name) => [name, readFileSync(join(out, name), "utf8")]));
  const digest = createHash("sha256").update(JSON.stringify([...texts]));
  const line = `// build ${digest.digest("hex").slice(0, 16)}\n`;
  for (const [name, text] of texts) writeFileSync(join(out, name), line + text);
}

/**
 * A program by its path: Node starts a module more slowly, so only a name that ends so makes it one.
 * @param {string} out the bundle @param {string} path
 */
function writeProgram(out, path) {
  const loader = JSON.stringify(relative(dirname(path), LOADER));
  const run = `${path.endsWith("-worker.js") ? "runThread" : "run"}(${JSON.stringify(path)});\n`;
  write(out, path, path.endsWith(".mjs") ? `import loader from ${loader};\nawait loader.${run}` : `void require(${loader}).${run}`);
}

/** The lines of a chunk as V8 counts them. @param {string} text @param {string} wrapper @returns {(place: number) => [line: number, column: number]} */
function lineCounter(text, wrapper) {
  const begins = [-wrapper.length];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) begins.push(at + 1);
  return (place) => {
    const line = begins.findLastIndex((begin) => begin <= place);
    return [line, place - (begins[line] ?? 0)];
  };
}

/** For the maker of caches: a place in each function of each chunk that programs call when they start. @param {string} out the bundle */
function writeStarts(out) {
  const started = new Set(readFileSync(STARTED_FUNCTIONS, "utf8").split("\n"));
  const { WRAPPER } = createRequire(import.meta.url)(`./${LOADER}`);
  const places = chunksOf(out).map((name) => {
    const text = readFileSync(join(out, name), "utf8");
    const locate = lineCounter(text, WRAPPER);
    return [name, nameFunctions(text).flatMap((one) => (started.has(one.name) ? [locate(one.inside)] : []))];
  });
  write(out, STARTS, JSON.stringify(Object.fromEntries(places)));
}

/** @param {string} out the bundle @returns {string[]} its chunks */
function chunksOf(out) {
  const names = readdirSync(join(out, "chunks"), { recursive: true, encoding: "utf8" });
  return names
    .filter((name) => name.endsWith("js"))
    .map((name) => `chunks/${name}`)
    .sort();
}

/** Of this Node. */
function hasCaches() {
  const { CHUNKS, cachedData } = createRequire(import.meta.url)(join(OUT, LOADER));
  const file = join(CHUNKS, /** @type {string} */ (PROGRAMS.find((path) => path.endsWith("/main.js"))));
  return cachedData(file, readFileSync(file)) !== undefined;
}

/** Without them the programs start more slowly, and run as well. @param {string} out the bundle */
function makeCaches(out) {
  if (spawnSync(process.execPath, [join(out, CACHE_MAKER)], { stdio: "inherit" }).status !== 0)
    process.stderr.write("sluice: bundle: no caches of compiled code: programs start more slowly\n");
}

export async function buildBundle() {
  if (!isUpToDate()) await makeBundle();
  // Node may be another one since.
  else if (!hasCaches()) makeCaches(OUT);
}

/**
 * The programs, in a directory of the checkout. The commands in bin/, and the licences, are in bundle/ alone.
 * @param {string} out
 * @param {readonly import("rolldown").Plugin[]} plugins see the modules first
 */
export async function writeBundle(out, plugins = []) {
  const output = await joinModules(out, plugins);
  for (const name of [LOADER, CACHE_MAKER]) copyFileSync(join(root, "packages/dev", name), join(out, name));
  for (const path of PROGRAMS) writeProgram(out, path);
  for (const path of BESIDE) link(out, path);
  write(out, "package.json", '{ "type": "commonjs" }\n');
  return output;
}

async function makeBundle() {
  rmSync(INPUTS, { force: true });
  // Before it is read: a file that changes meanwhile is newer than the bundle.
  const before = changedAt(candidates());
  const output = await writeBundle(OUT);
  const ids = output.flatMap((chunk) => (chunk.type === "chunk" ? chunk.moduleIds : []));
  // An earlier version named its commands otherwise.
  for (const directory of new Set(Object.keys(COMMANDS).map(dirname))) rmSync(join(OUT, directory), { recursive: true, force: true });
  for (const [bin, program] of Object.entries(COMMANDS)) {
    write(OUT, bin, `#!/usr/bin/env node\n"use strict";\nrequire(${JSON.stringify(relative(dirname(bin), program))});\n`);
  }
  write(OUT, "THIRD-PARTY-LICENSES", licences([...ids, ...SERVED.map((path) => join(root, path))]));
  writeStarts(OUT);
  makeCaches(OUT);
  const inputs = Object.entries(before).filter(([path]) => isInput(path, ids));
  writeFileSync(INPUTS, JSON.stringify(Object.fromEntries(inputs), null, 2));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildBundle();
