// Compiles the addon's sources for their warnings alone: no object file stays.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { listFiles } from "./source-files.mjs";

const WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wno-unused-parameter", "-Wno-missing-field-initializers"];
const LONGEST_FILE_LINES = 400;

/**
 * @param {string} root
 * @param {string} [folder] with the C sources
 * @returns {string[]} what the compiler said, a string a file
 */
export function checkC(root, folder = "packages/native/cc") {
  if (!existsSync(join(root, folder))) return [];
  const headers = join(root, "node_modules/node-api-headers/include");
  const files = listFiles(root, folder);
  const compiled = files
    .filter((file) => file.endsWith(".c"))
    .flatMap((file) => complaintsOf(root, file, ["-I", headers, "-I", join(root, folder)]));
  return compiled.concat(files.filter((file) => /\.[ch]$/.test(file)).flatMap((file) => tooLong(root, file)));
}

/** @param {string} root @param {string} file @param {string[]} includes */
function complaintsOf(root, file, includes) {
  // Compiled in full: the compiler sees values that flow into a return, or are read before they are set, only when optimising.
  const options = ["-std=gnu11", "-O2", "-c", "-o", "/dev/null", "-D_GNU_SOURCE", "-DNAPI_VERSION=8", ...WARNINGS, ...includes];
  const done = spawnSync(process.env["CC"] ?? "cc", [...options, join(root, file)], { encoding: "utf8" });
  if (done.error) return [`cc could not be started (${done.error.message}): install gcc and libc6-dev`];
  return done.status === 0 ? [] : [done.stderr.trim()];
}

/** @param {string} root @param {string} file */
function tooLong(root, file) {
  const lines = readFileSync(join(root, file), "utf8")
    .split("\n")
    .filter((line) => /\S/.test(line) && !/^\s*(\/\/|\/?\*)/.test(line)).length;
  return lines > LONGEST_FILE_LINES ? [`${file}: ${lines} lines of code, at most ${LONGEST_FILE_LINES}: split it by what it does`] : [];
}
