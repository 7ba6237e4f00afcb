/** Inputs of real-work phases, made once a run and lying outside every layer: archive, repository, packages. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../machine/find-program.js";
import { linesOf, runCommand } from "../machine/run-command.js";
import type { Storage } from "../machine/storage.js";
import { type Sizes, syncedOn } from "./sizes.js";

export interface Assets {
  archive: string;
  repository: string;
  sql: string;
  npmProject: string;
  npmCache: string;
  /** The interpreter itself: a version switcher in front of it would take most of the measured time. */
  python(): string;
}

/** Nobody's configuration has a say in what is measured. */
export const GIT_ENVIRONMENT = {
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_AUTHOR_NAME: "bench",
  GIT_AUTHOR_EMAIL: "bench@example.invalid",
  GIT_COMMITTER_NAME: "bench",
  GIT_COMMITTER_EMAIL: "bench@example.invalid",
} as const;

let python: string | undefined;

export function assetsBelow({ outside }: Storage): Assets {
  return {
    archive: join(outside, "source.tar"),
    repository: join(outside, "source.git"),
    sql: join(outside, "inserts.sql"),
    npmProject: join(outside, "npm-project"),
    npmCache: join(outside, "npm-cache"),
    python: () => (python ??= linesOf("python3", ["-c", "import sys; print(sys.executable)"])?.[0] ?? "python3"),
  };
}

/** The same text for the same seed: between 1 and 8 KiB that compresses about as sources do. */
export function sourceText(seed: number): string {
  let state = seed * 2654435761 + 1;
  const lines = Array.from({ length: 20 + (seed % 7) * 25 }, (_, line) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return `static int value_${line}_${state % 9973}(int x) { return x * ${state % 97} + ${line}; }`;
  });
  return `${lines.join("\n")}\n`;
}

function writeSources(folder: string, files: number): void {
  for (let index = 0; index < files; index++) {
    const directory = join(folder, `part${Math.floor(index / 25)}`, `unit${index % 5}`);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `source${index}.c`), sourceText(index));
  }
}

async function makeRepository(folder: string, bare: string, files: number): Promise<void> {
  const git = (...args: string[]) => runCommand("git", ["-C", folder, ...args], { env: GIT_ENVIRONMENT });
  await git("init", "-q", "-b", "main");
  await git("add", ".");
  await git("commit", "-q", "-m", "all of it");
  await git("checkout", "-q", "-b", "other");
  for (let index = 0; index < files; index += 4) {
    writeFileSync(join(folder, `part${Math.floor(index / 25)}`, `unit${index % 5}`, `source${index}.c`), sourceText(index + 1));
  }
  await git("commit", "-q", "-a", "-m", "a quarter of it changed");
  await git("checkout", "-q", "main");
  await runCommand("git", ["clone", "-q", "--bare", folder, bare], { env: GIT_ENVIRONMENT });
}

/** A project whose packages are archives beside it, so that no registry is asked. */
async function makeNpmProject(outside: string, assets: Assets, packages: number): Promise<void> {
  const dependencies: Record<string, string> = {};
  for (let index = 0; index < packages; index++) {
    const folder = join(outside, "npm-packages", `${index}`);
    mkdirSync(join(folder, "package", "lib"), { recursive: true });
    writeFileSync(join(folder, "package", "package.json"), JSON.stringify({ name: `generated-${index}`, version: "1.0.0" }));
    for (let file = 0; file < 20; file++) writeFileSync(join(folder, "package", "lib", `file${file}.js`), sourceText(file));
    await runCommand("tar", ["-czf", `${folder}.tgz`, "-C", folder, "package"]);
    dependencies[`generated-${index}`] = `file:${folder}.tgz`;
  }
  mkdirSync(assets.npmProject);
  writeFileSync(join(assets.npmProject, "package.json"), JSON.stringify({ name: "project", version: "1.0.0", dependencies }));
  const args = ["install", "--package-lock-only", "--offline", "--no-audit", "--no-fund", "--cache", assets.npmCache];
  await runCommand("npm", args, { cwd: assets.npmProject });
  // The lock names archives relative to the project; it is used elsewhere.
  const lock = join(assets.npmProject, "package-lock.json");
  writeFileSync(lock, readFileSync(lock, "utf8").replaceAll("file:../", `file:${outside}/`));
}

/** For phases that call `programs`: those that the machine has. */
export async function makeAssets(storage: Storage, sizes: Sizes, programs: ReadonlySet<string>): Promise<void> {
  const wanted = (program: string): boolean => programs.has(program) && findProgram(program) !== undefined;
  const assets = assetsBelow(storage);
  const sources = join(storage.outside, "source");
  writeSources(sources, sizes.sourceFiles);
  await runCommand("tar", ["-cf", assets.archive, "-C", storage.outside, "source"]);
  if (wanted("git")) await makeRepository(sources, assets.repository, sizes.sourceFiles);
  const rows = syncedOn(storage.kind, sizes.insertedRows, sizes);
  const inserts = Array.from({ length: rows }, (_, row) => `insert into rows values (${row}, '${"x".repeat(100)}');`);
  writeFileSync(assets.sql, `create table rows (id integer primary key, text);\n${inserts.join("\n")}\n`);
  if (wanted("npm")) await makeNpmProject(storage.outside, assets, sizes.npmPackages);
}
