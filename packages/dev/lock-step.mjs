// Tells whether node_modules is what package-lock.json says. Knows npm's two lock files; installs nothing.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * @typedef {{ version?: string, integrity?: string, link?: boolean, resolved?: string, optional?: boolean,
 *   os?: string[], cpu?: string[], libc?: string[] }} LockedPackage
 * @typedef {Record<string, LockedPackage>} LockedPackages
 * @typedef {{ os: string, cpu: string, libc: string }} Platform
 */

/** @returns {Platform} */
export function thisPlatform() {
  const report = /** @type {{ excludeNetwork: boolean, getReport(): object }} */ (/** @type {unknown} */ (process.report));
  // Without it the report looks up the name of every open connection's peer.
  report.excludeNetwork = true;
  const { header } = /** @type {{ header?: { glibcVersionRuntime?: string } }} */ (report.getReport());
  return { os: process.platform, cpu: process.arch, libc: header?.glibcVersionRuntime ? "glibc" : "musl" };
}

/**
 * @param {string[] | undefined} allowed npm's list: names, or `!name` for all but that one
 * @param {string} actual
 */
function admits(allowed, actual) {
  if (!allowed || allowed.length === 0) return true;
  if (allowed.includes(`!${actual}`)) return false;
  return allowed.includes(actual) || allowed.every((name) => name.startsWith("!"));
}

/**
 * A package may be absent when npm would not have installed it: an optional one made for another machine, or one that
 * is optional without naming a machine (it came with such a package).
 * @param {LockedPackage} wanted
 * @param {Platform} platform
 */
function mayBeAbsent(wanted, platform) {
  if (!wanted.optional) return false;
  const namesMachine = wanted.os || wanted.cpu || wanted.libc;
  if (!namesMachine) return true;
  return !(admits(wanted.os, platform.os) && admits(wanted.cpu, platform.cpu) && admits(wanted.libc, platform.libc));
}

/**
 * @param {LockedPackage} wanted
 * @param {LockedPackage} found
 */
function isSame(wanted, found) {
  if (wanted.link || found.link) return wanted.link === found.link && wanted.resolved === found.resolved;
  if (wanted.version !== found.version) return false;
  return !wanted.integrity || !found.integrity || wanted.integrity === found.integrity;
}

/**
 * The first difference between the lock file and npm's record of installed packages, or undefined.
 * Workspace folders themselves ("packages/x") are sources, not installed things, so only node_modules/ entries count.
 * @param {LockedPackages} wanted
 * @param {LockedPackages} installed
 * @param {Platform} platform
 * @returns {string | undefined}
 */
export function firstDifference(wanted, installed, platform) {
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.includes("node_modules/")) continue;
    const found = installed[path];
    if (found && !isSame(entry, found)) return `${path} is ${found.version ?? "a link"}, the lock file wants ${entry.version ?? "a link"}`;
    if (!found && !mayBeAbsent(entry, platform)) return `${path} is not installed`;
  }
  const extra = Object.keys(installed).find((path) => path.includes("node_modules/") && !(path in wanted));
  return extra && `${extra} is installed but not in the lock file`;
}

/**
 * Why `npm ci` is needed in `root`, in a few words, or undefined if it is not.
 * @param {string} root
 * @returns {string | undefined}
 */
export function whyInstall(root) {
  if (!existsSync(join(root, "node_modules"))) return "node_modules is missing";
  const record = join(root, "node_modules/.package-lock.json");
  if (!existsSync(record)) return "node_modules is incomplete";
  /** @type {LockedPackages} */
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  /** @type {LockedPackages} */
  const installed = JSON.parse(readFileSync(record, "utf8")).packages;
  const difference = firstDifference(wanted, installed, thisPlatform());
  if (difference) return difference;
  const gone = Object.keys(installed).find((path) => path.includes("node_modules/") && !existsSync(join(root, path)));
  return gone && `${gone} was removed`;
}
