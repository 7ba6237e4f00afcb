// The relocatable tree of a release: the files that deploy/docker/collect-runtime.mjs collects, and the addon of its architecture.
import {
  chmodSync,
  closeSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { root } from "../build.mjs";
import { compileAddon } from "./addon.mjs";
import { runTool } from "./run-tool.mjs";
import { writeSbom } from "./sbom.mjs";

/** fuse-native, the addon of the portable engine, is published for this architecture alone. */
const PORTABLE_ENGINE_FOR = "x64";
const PORTABLE_ENGINE = /^fuse-(native|shared-library)/;
const ELF = Buffer.from("\x7fELF", "latin1");
/** npm would run scripts of packages inside of another one; their addons are compiled already, and nobody calls their commands. */
const NEEDLESS = ["scripts", "devDependencies", "bin"];

/** @param {string} directory @returns {IterableIterator<{ path: string, kind: "directory" | "file" | "link" }>} contents before their directory */
export function* contentsOf(directory) {
  for (const entry of readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* contentsOf(path);
    yield { path, kind: entry.isDirectory() ? "directory" : entry.isSymbolicLink() ? "link" : "file" };
  }
}

/** An ELF file or a script, by its first bytes. @param {string} file */
function isProgram(file) {
  if ((statSync(file).mode & 0o100) === 0) return false;
  const start = Buffer.alloc(4);
  const fd = openSync(file, "r");
  readSync(fd, start, 0, 4, 0);
  closeSync(fd);
  return start.equals(ELF) || start.toString("latin1", 0, 2) === "#!";
}

/** Everybody may read it, and no mask of the checkout shows. @param {string} tree @param {number} epoch */
export function normalize(tree, epoch) {
  for (const { path, kind } of contentsOf(tree)) {
    if (kind === "directory") chmodSync(path, 0o755);
    else if (kind === "file") chmodSync(path, isProgram(path) ? 0o755 : 0o644);
    lutimesSync(path, epoch, epoch);
  }
  chmodSync(tree, 0o755);
  lutimesSync(tree, epoch, epoch);
}

/** @param {string} modules a directory node_modules @param {string} arch */
function trimPackages(modules, arch) {
  for (const name of readdirSync(modules)) {
    if (arch !== PORTABLE_ENGINE_FOR && PORTABLE_ENGINE.test(name)) rmSync(join(modules, name), { recursive: true });
  }
  for (const { path } of contentsOf(modules)) {
    if (!path.endsWith("/package.json")) continue;
    const description = JSON.parse(readFileSync(path, "utf8"));
    for (const field of NEEDLESS) delete description[field];
    writeFileSync(path, `${JSON.stringify(description, null, 2)}\n`);
  }
  for (const { path } of contentsOf(modules)) {
    // A shared library and an addon are read, not executed.
    if (/\.(node|so)$/.test(path)) chmodSync(path, 0o644);
    // Commands for developers.
    else if (path.endsWith(".js") && readFileSync(path, "latin1").startsWith("#!")) rmSync(path);
  }
}

/** The description of the whole, without parts that concern a checkout. @param {string} tree */
function describe(tree) {
  const { name, version, description, license, repository, type, engines, bin } = JSON.parse(
    readFileSync(join(tree, "package.json"), "utf8"),
  );
  const kept = { name, version, description, license, repository, type, engines, bin };
  writeFileSync(join(tree, "package.json"), `${JSON.stringify(kept, null, 2)}\n`);
}

/** @param {import("./settings.mjs").Release} release @param {string} tree a directory to make */
export function makeTree(release, tree) {
  runTool(process.execPath, [join(root, "deploy/docker/collect-runtime.mjs"), tree]);
  const addon = join(tree, "packages/native/build");
  rmSync(addon, { recursive: true });
  mkdirSync(addon);
  compileAddon(release.arch, join(addon, "sluice_native.node"));
  chmodSync(join(addon, "sluice_native.node"), 0o644);
  trimPackages(join(tree, "node_modules"), release.arch);
  describe(tree);
  writeSbom(release, join(tree, "sbom.cdx.json"));
}
