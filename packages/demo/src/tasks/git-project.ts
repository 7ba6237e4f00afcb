/** A project in the merged view, of sources of this repository and a vendored package; if there is git, it is committed. */
import { appendFileSync, cpSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY } from "../demo-paths.js";
import { runCommand } from "./run-command.js";
import type { ProjectOutput, ViewInput } from "./task-table.js";

/** The project's directory in the view. */
export const PROJECT = "project";
/** Packages of this repository that need nothing but each other. */
export const COPIED_PACKAGES = ["vfs", "fuse-protocol"] as const;
const VENDORED = "yaml";

const GIT_ENVIRONMENT = {
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_AUTHOR_NAME: "Sluice demo",
  GIT_AUTHOR_EMAIL: "demo@sluice.invalid",
  GIT_COMMITTER_NAME: "Sluice demo",
  GIT_COMMITTER_EMAIL: "demo@sluice.invalid",
};

function fillProject(mountPoint: string, project: string): void {
  mkdirSync(join(project, "node_modules/@sluice"), { recursive: true });
  for (const name of COPIED_PACKAGES) {
    for (const part of ["package.json", "tsconfig.json", "src"])
      cpSync(join(REPOSITORY, "packages", name, part), join(project, "packages", name, part), { recursive: true });
    symlinkSync(`../../packages/${name}`, join(project, "node_modules/@sluice", name));
  }
  cpSync(join(REPOSITORY, "tsconfig.base.json"), join(project, "tsconfig.base.json"));
  // From one place of the view to another: reads pass through to the lower layer, writes to the upper.
  if (existsSync(join(mountPoint, VENDORED))) cpSync(join(mountPoint, VENDORED), join(project, "vendor", VENDORED), { recursive: true });
  const references = COPIED_PACKAGES.map((name) => ({ path: `packages/${name}` }));
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ files: [], references }, undefined, 2));
  writeFileSync(join(project, ".gitignore"), "node_modules/\n/packages/*/dist/\n");
}

export function makeProject({ mountPoint, git }: ViewInput & { git: boolean }): ProjectOutput {
  const project = join(mountPoint, PROJECT);
  fillProject(mountPoint, project);
  return git ? commit(project) : { files: readdirSync(project, { recursive: true }).length, commits: undefined };
}

function commit(project: string): ProjectOutput {
  const git = (...args: string[]): string => runCommand("git", args, { cwd: project, env: GIT_ENVIRONMENT });
  git("init", "--quiet", "--initial-branch", "main");
  git("add", "--all");
  git("commit", "--quiet", "--message", "Import the sources");
  appendFileSync(join(project, ".gitignore"), "*.log\n");
  git("commit", "--quiet", "--all", "--message", "Ignore logs");
  git("fsck", "--strict");
  const dirty = git("status", "--porcelain");
  if (dirty !== "") throw new Error(`git status is not clean after a commit:\n${dirty}`);
  return { files: git("ls-files").trim().split("\n").length, commits: Number(git("rev-list", "--count", "HEAD")) };
}
