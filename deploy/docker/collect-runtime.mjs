// Copies what the services need at run time, and nothing else, from a built checkout into a directory: the bundle, in which
// the commands and the scripts beside this file are, and the packages that stay outside of it.
// Both ways to an image go through it: the Dockerfile's build stage, and a context for its `prebuilt` target.
//
// Usage: collect-runtime.mjs TARGET_DIRECTORY [--caches]
// --caches: with caches of compiled code (make-caches.cjs), if the Node that runs this will run the services.
// With SOURCE_DATE_EPOCH in the environment every file has that time: equal sources make equal layers.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, lutimesSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { COMMANDS, OUTSIDE } from "../../packages/dev/bundle.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const [target, option] = process.argv.slice(2);
if (target === undefined) {
  process.stderr.write("collect-runtime: name a target directory\n");
  process.exit(2);
}

const locked = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;

/** Finds `name`, imported from the locked package at `from`: Node's own walk up, over the lock file's keys. */
const locate = (from, name) => {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf("node_modules") - 1))) {
    const candidate = at === "" ? `node_modules/${name}` : `${at}/node_modules/${name}`;
    if (candidate in locked) return candidate;
    if (at === "") return undefined;
  }
};

/** The locked packages that `start` needs to run, itself included, by their path in the checkout. */
const closure = (start) => {
  const found = new Set();
  const pending = [start];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const entry = locked[path];
    if (found.has(path)) continue;
    found.add(path);
    for (const name of Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })) {
      const dependency = locate(path, name);
      if (dependency !== undefined && existsSync(join(root, dependency))) pending.push(dependency);
    }
  }
  return found;
};

/** Leaves out files that are never loaded: declarations, sources, tests, builds for browsers or other systems. Licences stay. */
const NEVER_LOADED = [
  /\.(ts|mts|cts|map|c|h|gyp|npmignore)$|\/\.travis\.yml$/,
  /\/cedar-wasm\/(esm|web)$/,
  /\/prebuilds\/(darwin-|.*\/electron\.)/,
  /\/(@protobufjs\/\w+|fuse-[\w-]+)\/(bench|example|tests?)$/,
];
const loaded = (file) => !NEVER_LOADED.some((pattern) => pattern.test(file));
const OTHER_SYSTEMS = /-(darwin|linux-arm)$/;

/** Everything but nested packages, which are entries of their own. */
const copyPackage = (path) => {
  mkdirSync(join(target, path), { recursive: true });
  for (const part of readdirSync(join(root, path))) {
    if (part !== "node_modules")
      cpSync(join(root, path, part), join(target, path, part), { recursive: true, verbatimSymlinks: true, filter: loaded });
  }
};

mkdirSync(target, { recursive: true });
if (readdirSync(target).length > 0) {
  process.stderr.write(`collect-runtime: ${target}: not empty: name a new directory\n`);
  process.exit(2);
}
// In a checkout the addon and the console are links in it. Files for this checkout and its Node alone are left out.
const isShipped = (file) => !/\/inputs\.json$|\.cache$/.test(file);
cpSync(join(root, "bundle"), target, { recursive: true, dereference: true, filter: isShipped });
// An optional one may be missing.
const outside = OUTSIDE.map((name) => `node_modules/${name}`).filter((path) => existsSync(join(root, path)));
const wanted = new Set(outside.flatMap((path) => [...closure(path)]));
for (const path of wanted) if (!OTHER_SYSTEMS.test(path)) copyPackage(path);
if (existsSync(join(root, "LICENSE"))) cpSync(join(root, "LICENSE"), join(target, "LICENSE"));
// Errors and helps name pages by their place in a checkout.
mkdirSync(join(target, "docs"));
for (const name of readdirSync(join(root, "docs"))) if (name.endsWith(".md")) cpSync(join(root, "docs", name), join(target, "docs", name));
const description = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const bin = Object.fromEntries(Object.keys(COMMANDS).map((path) => [basename(path, ".cjs"), path]));
// The type of the bundle, not that of the sources. A checkout has no `bin`: npx would install it before each command.
writeFileSync(join(target, "package.json"), `${JSON.stringify({ ...description, type: "commonjs", bin }, null, 2)}\n`);
// For PATH.
mkdirSync(join(target, "bin"));
for (const [name, path] of Object.entries(bin)) symlinkSync(join("..", path), join(target, "bin", name));
if (option === "--caches") spawnSync(process.execPath, [join(target, "make-caches.cjs")], { stdio: "inherit" });

/** The children first: making them moved the time of their directory. */
const stamp = (path, seconds) => {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) stamp(child, seconds);
    else lutimesSync(child, seconds, seconds);
  }
  lutimesSync(path, seconds, seconds);
};
const epoch = process.env["SOURCE_DATE_EPOCH"];
if (epoch !== undefined && epoch !== "") stamp(target, Number(epoch));
