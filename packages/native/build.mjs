/**
 * Compiles the addon with the C compiler that is there: `cc` and node-api-headers, no node-gyp, no Python, no download.
 * Runs as this workspace's install script; does nothing when the result is newer than its sources.
 *
 * Usage: build.mjs [--to FILE | --unless-prebuilt]
 * --to compiles in any case, and writes the addon there; CC and CFLAGS choose compiler and flags. --unless-prebuilt is the install
 * script of the package of npm: it compiles only if no prebuilt addon loads.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const folder = dirname(fileURLToPath(import.meta.url));
const elsewhere = process.argv[2] === "--to" ? process.argv[3] : undefined;
const target = elsewhere === undefined ? join(folder, "build", "sluice_native.node") : resolve(elsewhere);
const sources = readdirSync(join(folder, "cc")).map((name) => join(folder, "cc", name));

function fail(message) {
  console.error(`sluice native: ${message}`);
  process.exit(1);
}

function hasPrebuilt() {
  try {
    createRequire(import.meta.url)(`./prebuilt/${process.platform}-${process.arch}/sluice_native.node`);
    return true;
  } catch {
    return false;
  }
}

function isCurrent() {
  if (process.argv[2] === "--unless-prebuilt" && hasPrebuilt()) return true;
  if (!existsSync(target)) return false;
  const built = statSync(target).mtimeMs;
  return [...sources, fileURLToPath(import.meta.url)].every((source) => statSync(source).mtimeMs <= built);
}

function compile() {
  const compiler = process.env.CC ?? "cc";
  const headers = createRequire(import.meta.url)("node-api-headers").include_dir;
  const units = sources.filter((source) => source.endsWith(".c"));
  // Under another name first: a build that is cut off leaves no half-written addon, and a running process keeps its own.
  const partial = `${target}.${process.pid}`;
  mkdirSync(dirname(target), { recursive: true });
  const flags = ["-std=gnu11", "-O2", "-g", "-shared", "-fPIC", "-pthread", "-fvisibility=hidden", "-Wall", "-Wextra"];
  // The same bytes in every folder.
  flags.push(`-ffile-prefix-map=${folder}=.`, `-ffile-prefix-map=${headers}=.`);
  const extra = process.env.CFLAGS?.split(/\s+/).filter(Boolean) ?? [];
  const [command, ...leading] = compiler.split(/\s+/);
  const run = spawnSync(command, [...leading, ...flags, ...extra, `-I${headers}`, ...units, "-o", partial], { stdio: "inherit" });
  if (run.status === 0) {
    renameSync(partial, target);
    return;
  }
  rmSync(partial, { force: true });
  if (run.error?.code === "ENOENT") {
    fail(
      `no C compiler "${command}": install one with "apt-get install gcc libc6-dev" (or your distribution's equivalent) and install again`,
    );
  }
  fail(`"${compiler}" failed (see above): the C library's headers may be missing, "apt-get install gcc libc6-dev" brings them`);
}

if (process.platform !== "linux") {
  console.log("sluice native: not built, the raw engine needs Linux");
} else if (elsewhere !== undefined || !isCurrent()) {
  compile();
}
