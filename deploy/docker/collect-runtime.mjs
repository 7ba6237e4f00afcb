// Copies what the services need at run time, and nothing else, from a built checkout into a directory: the bundle, in which
// the commands and the scripts beside this file are, and the packages that stay outside of it.
// Both ways to an image go through it: the Dockerfile's build stage, and a context for its `prebuilt` target.
//
// Usage: collect-runtime.mjs TARGET_DIRECTORY
// With SOURCE_DATE_EPOCH in the environment every file has that time: equal sources make equal layers.
import { cpSync, existsSync, lutimesSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { OUTSIDE } from "../../packages/dev/bundle.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const target = process.argv[2];
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
// In a checkout the addon and the console are links in it. A file that only checkouts need is left out.
cpSync(join(root, "bundle"), target, { recursive: true, dereference: true, filter: (file) => !file.endsWith("/inputs.json") });
// An optional one may be missing.
const outside = OUTSIDE.map((name) => `node_modules/${name}`).filter((path) => existsSync(join(root, path)));
const wanted = new Set(outside.flatMap((path) => [...closure(path)]));
for (const path of wanted) if (!OTHER_SYSTEMS.test(path)) copyPackage(path);
for (const file of ["package.json", "LICENSE"]) if (existsSync(join(root, file))) cpSync(join(root, file), join(target, file));
// For PATH.
mkdirSync(join(target, "bin"));
const { bin } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
for (const [name, path] of Object.entries(bin)) symlinkSync(join("..", path), join(target, "bin", name));

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
