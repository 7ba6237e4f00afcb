// Reads vitest's JSON report: how many tests passed, failed and were skipped, and for which lack of this machine.
import { relative } from "node:path";
import { packageWith } from "./programs.mjs";

/**
 * @typedef {{ fullName: string, status: string }} Assertion
 * @typedef {{ name: string, status: string, message?: string, assertionResults: Assertion[] }} FileResult
 * @typedef {{ success: boolean, testResults: FileResult[] }} Report
 * @typedef {object} Summary
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {Map<string, string[]>} skips requirement → tests; "" → tests that name none
 * @property {string[]} failures
 */

const SKIPPED = new Set(["skipped", "pending", "todo", "disabled"]);
const REQUIREMENT = /\[(needs [^\]]+)\]/;

/**
 * A file that could not be loaded, or whose set-up failed, has no failed test in it and still failed: it counts as one.
 * @param {FileResult} file
 */
function failsAsWhole(file) {
  return file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed");
}

/**
 * @param {Report} report
 * @param {string} root
 * @returns {Summary}
 */
export function summarize(report, root) {
  /** @type {Summary} */
  const summary = { passed: 0, failed: 0, skipped: 0, skips: new Map(), failures: [] };
  for (const file of report.testResults) addFile(summary, file, relative(root, file.name));
  if (!report.success && summary.failed === 0) {
    summary.failed = 1;
    summary.failures.push("the run itself: see the unhandled error above");
  }
  return summary;
}

/** @param {Summary} summary @param {FileResult} file @param {string} path */
function addFile(summary, file, path) {
  const broken = failsAsWhole(file);
  if (broken) summary.failures.push(`${path}: ${(file.message ?? "").split("\n")[0]}`);
  summary.failed += broken ? 1 : 0;
  for (const test of file.assertionResults) addTest(summary, test, path, broken);
}

/** @param {Summary} summary @param {Assertion} test @param {string} path @param {boolean} broken */
function addTest(summary, test, path, broken) {
  if (test.status === "passed") summary.passed += 1;
  else if (test.status === "failed") {
    summary.failed += 1;
    summary.failures.push(`${path}: ${test.fullName}`);
  } else if (SKIPPED.has(test.status)) {
    summary.skipped += 1;
    const requirement = REQUIREMENT.exec(test.fullName)?.[1] ?? (broken ? "set-up of the file failed" : "");
    summary.skips.set(requirement, [...(summary.skips.get(requirement) ?? []), `${path}: ${test.fullName}`]);
  }
}

/** How a requirement is met, if a package or another place does it. @param {string} requirement "needs /dev/fuse, command fio" */
function remedyOf(requirement) {
  const packages = [...requirement.matchAll(/command (\S+?)(?=,|$)/g)].map(([, command]) => packageWith(command ?? ""));
  const names = [...new Set(packages.filter((name) => name !== undefined))];
  if (names.length > 0) return `: apt-get install ${names.join(" ")}`;
  return requirement.includes("checkout that every user can read") ? ": clone it below a directory that every user can enter" : "";
}

/**
 * The skipped tests and why, as lines: a requirement, its packages to install, the number of tests it kept back, and their
 * files.
 * @param {Summary} summary
 */
export function describeSkips(summary) {
  return [...summary.skips].map(([requirement, tests]) => {
    const files = [...new Set(tests.map((test) => test.split(": ")[0]))];
    return `skipped ${tests.length}: ${requirement || "no requirement named"}${remedyOf(requirement)} (${files.join(", ")})`;
  });
}
