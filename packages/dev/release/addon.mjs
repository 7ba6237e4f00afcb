// The addon for a release: compiled without debug symbols, if necessary by a cross compiler, and checked for the C library it needs.
import { join } from "node:path";
import { root } from "../build.mjs";
import { runTool } from "./run-tool.mjs";
import { namesOf, ReleaseError } from "./settings.mjs";

/** The oldest C library that Node's own binaries support. Debian 10, Ubuntu 20.04 and RHEL 8 have it, or a later one. */
export const OLDEST_GLIBC = "2.28";

/** @param {string} version "2.27", "2.3.2" @returns {number} comparable */
function rank(version) {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  return (major * 1000 + minor) * 1000 + patch;
}

/** The newest version of glibc that a library or program asks for, or "0". @param {string} file */
export function neededGlibc(file) {
  const symbols = runTool("readelf", ["--wide", "--dyn-syms", file]);
  const versions = [...symbols.matchAll(/@GLIBC_([\d.]+)/g)].map(([, version]) => version ?? "0");
  return versions.reduce((newest, version) => (rank(version) > rank(newest) ? version : newest), "0");
}

/** @param {string} file @throws if it would not load with OLDEST_GLIBC */
export function checkGlibc(file) {
  const needed = neededGlibc(file);
  if (rank(needed) <= rank(OLDEST_GLIBC)) return;
  throw new ReleaseError(
    `${file}: needs glibc ${needed}, and releases promise ${OLDEST_GLIBC}: bind the symbol in packages/native/cc/oldest-glibc.h`,
  );
}

/** @param {string} arch @param {string} target file to write */
export function compileAddon(arch, target) {
  const compiler = arch === process.arch ? (process.env["CC"] ?? "cc") : `${namesOf(arch).triplet}-gcc`;
  runTool(compiler, ["--version"]);
  const env = { ...process.env, CC: compiler, CFLAGS: "-s" };
  runTool(process.execPath, [join(root, "packages/native/build.mjs"), "--to", target], { env });
  checkGlibc(target);
}
