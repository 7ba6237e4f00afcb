// The package for `npm install -g`: the tree, an addon for each architecture, and the addon's sources for other machines.
// Packages that it needs are inside, so that npm fetches nothing, and no script has to run.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../build.mjs";
import { compileAddon } from "./addon.mjs";
import { archive } from "./archive.mjs";
import { ARCHITECTURES } from "./settings.mjs";
import { normalize } from "./tree.mjs";

/** @param {string} modules @returns {string[]} names of the packages in a directory node_modules */
function namesIn(modules) {
  return readdirSync(modules).flatMap((name) =>
    name.startsWith("@") ? readdirSync(join(modules, name)).map((below) => `${name}/${below}`) : [name],
  );
}

/** The sources, and the headers of Node's interface, for a machine that no addon was made for. @param {string} target */
function addSources(target) {
  const native = join(root, "packages/native");
  cpSync(join(native, "cc"), join(target, "packages/native/cc"), { recursive: true });
  cpSync(join(native, "build.mjs"), join(target, "packages/native/build.mjs"));
  const headers = "node_modules/node-api-headers";
  for (const part of ["LICENSE", "package.json", "index.js", "symbols.js", "include"])
    cpSync(join(root, headers, part), join(target, headers, part), { recursive: true });
}

/** @param {string} target */
function describe(target) {
  const modules = join(target, "node_modules");
  const versions = namesIn(modules).map((name) => [name, JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8")).version]);
  const description = {
    ...JSON.parse(readFileSync(join(target, "package.json"), "utf8")),
    os: ["linux"],
    scripts: { install: "node packages/native/build.mjs --unless-prebuilt" },
    dependencies: Object.fromEntries(versions),
    bundleDependencies: versions.map(([name]) => name),
  };
  writeFileSync(join(target, "package.json"), `${JSON.stringify(description, null, 2)}\n`);
}

/** @param {import("./settings.mjs").Release} release @param {string} tree */
export function makeNpmPackage(release, tree) {
  // The name that npm expects at the top of an archive.
  const target = join(release.work, "package");
  cpSync(tree, target, { recursive: true, verbatimSymlinks: true });
  // npm makes the links on PATH itself, from "bin".
  for (const path of ["bin", "packages/native/build"]) rmSync(join(target, path), { recursive: true });
  for (const arch of Object.keys(ARCHITECTURES)) {
    const directory = join(target, `packages/native/prebuilt/linux-${arch}`);
    mkdirSync(directory, { recursive: true });
    compileAddon(arch, join(directory, "sluice_native.node"));
  }
  addSources(target);
  cpSync(join(root, "README.md"), join(target, "README.md"));
  describe(target);
  normalize(target, release.epoch);
  archive(target, join(release.out, `sluice-${release.version}.tgz`), release.epoch);
}
