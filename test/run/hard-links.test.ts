// Files with several names in the directory of a session: the review and the apply show them as the command saw them.
import { execFileSync } from "node:child_process";
import { existsSync, linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { diffSnapshots, requires, type ScriptResult, snapshot } from "@sluice/testkit";
import { expect } from "vitest";
import { type Caller, NEEDS, Project, rootsViewsShareProcess } from "./sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS, "command git");
const LIMIT_MS = 240_000;
const FILES = { f: "a\n", "dir/deep/other": "", alone: "alone\n" };

/** Its names: f, g, and one in a directory. */
function linked(caller: Caller = "root", more: Readonly<Record<string, string>> = {}): Project {
  const project = new Project(caller, { ...FILES, ...more });
  for (const path of ["g", "dir/deep/h"]) linkSync(join(project.base, "f"), join(project.base, path));
  return project;
}

async function run(project: Project, script: string, words: readonly string[] = ["--name", "one"]): Promise<void> {
  const { code, stderr } = await project.sluice(["run", ...words, "--", "sh", "-ec", script]);
  expect(code, stderr).toBe(0);
}

const lines = ({ stdout }: ScriptResult): string[] => stdout.trimEnd().split("\n");
const diff = async (project: Project, ...words: string[]): Promise<string[]> => lines(await project.sluice(["diff", "one", ...words]));
const read = (project: Project, path: string): string => readFileSync(join(project.base, path), "utf8");
const inodes = (project: Project, ...paths: string[]): number[] => paths.map((path) => statSync(join(project.base, path)).ino);
const areOne = (project: Project, ...paths: string[]): boolean => new Set(inodes(project, ...paths)).size === 1;

async function apply(project: Project, ...words: string[]): Promise<string> {
  const { code, stderr, stdout } = await project.sluice(["apply", "one", ...words]);
  expect(code, stderr).toBe(0);
  return stdout;
}

/** Its parts that an apply and its undo must leave as they were. */
const stateOf = (project: Project) => snapshot(project.base, { hardLinks: true });
const changesSince = (project: Project, before: ReturnType<typeof stateOf>): string[] =>
  diffSnapshots(before, stateOf(project)).filter((line) => !line.includes("mtimeNs"));

test(
  "a change by one name is reviewed, applied and undone at all names of the file",
  async () => {
    const project = linked();
    const before = stateOf(project);
    await run(project, "echo b >> f; cat g dir/deep/h > seen");
    expect(await diff(project, "-p", "dir")).toContain("+++ b/dir/deep/h");
    expect(await diff(project)).toEqual([
      "M dir/deep/h (same file as f, g)",
      "M f (same file as dir/deep/h, g)",
      "M g (same file as dir/deep/h, f)",
      "A seen",
      "3 modified, 1 added",
    ]);
    await apply(project);
    expect(read(project, "g")).toBe("a\nb\n");
    expect(read(project, "seen")).toBe("a\nb\na\nb\n");
    expect(areOne(project, "f", "g", "dir/deep/h")).toBe(true);
    expect(statSync(join(project.base, "f")).nlink).toBe(3);
    expect((await project.sluice(["undo"])).code).toBe(0);
    expect(changesSince(project, before)).toEqual([]);
    expect((await diff(project)).at(-1)).toBe("3 modified, 1 added");
  },
  LIMIT_MS,
);

test(
  "an apply of one name says that it separates the file, and leaves the other names in the session",
  async () => {
    const project = linked();
    const before = stateOf(project);
    await run(project, "echo b >> f");
    expect(await apply(project, "f")).toContain(
      ": 1 modified; 1 of them separated from other names of the file; in the session remain 2 modified\n",
    );
    expect([read(project, "f"), read(project, "g")]).toEqual(["a\nb\n", "a\n"]);
    expect(await diff(project)).toEqual(["M dir/deep/h (same file as g)", "M g (same file as dir/deep/h)", "2 modified"]);
    expect((await project.sluice(["undo"])).code).toBe(0);
    expect(changesSince(project, before)).toEqual([]);
    expect((await diff(project)).at(-1)).toBe("3 modified");
    await apply(project, "f");
    await apply(project);
    expect(areOne(project, "g", "dir/deep/h")).toBe(true);
    expect(read(project, "g")).toBe("a\nb\n");
  },
  LIMIT_MS,
);

test(
  "names outside of the directory are told before an apply, and keep the old file",
  async () => {
    const project = linked();
    const outside = join(dirname(project.base), "outside");
    linkSync(join(project.base, "f"), outside);
    await run(project, "echo b >> f");
    expect((await diff(project, "g"))[0]).toBe("M g (same file as dir/deep/h, f, 1 other name keeps the old file)");
    await apply(project);
    expect(areOne(project, "f", "g", "dir/deep/h")).toBe(true);
    expect(readFileSync(outside, "utf8")).toBe("a\n");
  },
  LIMIT_MS,
);

test(
  "renamed and new names of an unchanged file are names of that very file after an apply",
  async () => {
    const project = linked();
    const before = stateOf(project);
    const [inode] = inodes(project, "f");
    await run(project, "mv f moved; ln g new; rm dir/deep/h");
    expect((await diff(project)).at(-1)).toBe("2 renamed");
    await apply(project);
    expect(inodes(project, "moved", "g", "new")).toEqual([inode, inode, inode]);
    expect((await project.sluice(["undo"])).code).toBe(0);
    expect(changesSince(project, before)).toEqual([]);
    expect((await diff(project)).at(-1)).toBe("2 renamed");
  },
  LIMIT_MS,
);

test(
  "a new name of a file with another mode is applied as a name of that file",
  async () => {
    const project = linked();
    const before = stateOf(project);
    const [inode] = inodes(project, "f");
    await run(project, "chmod 600 f; ln f new");
    await apply(project);
    expect(inodes(project, "f", "g", "new")).toEqual([inode, inode, inode]);
    expect(statSync(join(project.base, "new")).mode & 0o777).toBe(0o600);
    expect((await project.sluice(["undo"])).code).toBe(0);
    expect(changesSince(project, before)).toEqual([]);
  },
  LIMIT_MS,
);

test(
  "a link that the command broke stays broken, and names that it removed stay removed",
  async () => {
    const project = linked("root", { k: "k\n" });
    linkSync(join(project.base, "k"), join(project.base, "l"));
    await run(project, "sed -i s/a/b/ f; echo more >> k; rm k");
    expect(await diff(project)).toEqual(["M f", "D k", "M l", "2 modified, 1 deleted"]);
    await apply(project);
    expect(["f", "g", "dir/deep/h", "l"].map((path) => read(project, path))).toEqual(["b\n", "a\n", "a\n", "k\nmore\n"]);
    expect(areOne(project, "g", "dir/deep/h")).toBe(true);
    expect(existsSync(join(project.base, "k"))).toBe(false);
  },
  LIMIT_MS,
);

test(
  "a name in a renamed directory follows the file that was changed",
  async () => {
    const project = linked();
    await run(project, "mv dir elsewhere; echo b >> f");
    await apply(project);
    expect(areOne(project, "f", "g", "elsewhere/deep/h")).toBe(true);
    expect(read(project, "elsewhere/deep/h")).toBe("a\nb\n");
    expect(existsSync(join(project.base, "dir"))).toBe(false);
  },
  LIMIT_MS,
);

test(
  "names whose file changed in the directory are conflicts, and a replaced one is not part of the change",
  async () => {
    const project = linked();
    await run(project, "echo b >> f");
    writeFileSync(join(project.base, "g"), "theirs\n");
    expect((await diff(project)).filter((line) => line.includes("[changed underneath]"))).toHaveLength(3);
    expect((await project.sluice(["apply", "one"])).code).toBe(5);
    writeFileSync(join(project.base, "new"), "theirs alone\n");
    renameSync(join(project.base, "new"), join(project.base, "g"));
    expect((await diff(project, "g"))[0]).toContain("[changed underneath]");
    await apply(project, "--take-directory", "g", "--overwrite");
    expect([read(project, "f"), read(project, "g")]).toEqual(["a\nb\n", "theirs alone\n"]);
    expect(await diff(project)).toEqual(["no changes"]);
    await run(project, "cat f g dir/deep/h > seen", ["--resume", "one"]);
    await apply(project);
    expect(read(project, "seen")).toBe("a\nb\ntheirs alone\na\nb\n");
  },
  LIMIT_MS,
);

test(
  "a name that somebody removed meanwhile is a conflict, and the others are not",
  async () => {
    const project = linked();
    await run(project, "echo b >> f; ln f new");
    rmSync(join(project.base, "g"));
    expect((await diff(project)).filter((line) => line.includes("underneath"))).toEqual([
      "A g (same file as dir/deep/h, f, new) [deleted underneath]",
      "2 modified, 2 added; 1 changed underneath",
    ]);
    await apply(project, "--take-directory", "g");
    expect(existsSync(join(project.base, "g"))).toBe(false);
    expect(areOne(project, "f", "dir/deep/h", "new")).toBe(true);
  },
  LIMIT_MS,
);

test(
  "a file that was replaced in the directory before its other name changed stays as it is there",
  async () => {
    const project = linked();
    const running = project.start([
      "run",
      "--name",
      "one",
      "--",
      "sh",
      "-ec",
      "echo b >> f; echo ready; while [ ! -e go ]; do sleep 0.1; done",
    ]);
    await running.waitFor("ready");
    rmSync(join(project.base, "g"));
    writeFileSync(join(project.base, "g"), "theirs\n");
    writeFileSync(join(project.base, "go"), "");
    expect((await running.finished).code).toBe(0);
    expect((await diff(project)).map((line) => line.slice(0, 3))).toEqual(["M d", "M f", "2 m"]);
  },
  LIMIT_MS,
);

test(
  "a runner that is killed leaves all names to the next command, and forks have them",
  async () => {
    const project = linked();
    const running = project.start(["run", "--name", "one", "--", "sh", "-ec", "echo b >> f; echo ready; sleep 60"]);
    await running.waitFor("ready");
    running.kill();
    await running.finished;
    await expect.poll(async () => (await project.sluice(["sessions", "--json"])).stdout).toContain('"running": false');
    expect((await project.sluice(["fork", "one", "two"])).code).toBe(0);
    expect((await diff(project)).at(-1)).toBe("3 modified");
    await run(project, "cp g old; cat old >> f; rm old", ["--resume", "two"]);
    expect(lines(await project.sluice(["diff", "two"])).at(-1)).toBe("3 modified");
    expect((await project.sluice(["apply", "two"])).code).toBe(0);
    expect(areOne(project, "f", "g", "dir/deep/h")).toBe(true);
    expect(read(project, "dir/deep/h")).toBe("a\nb\na\nb\n");
  },
  LIMIT_MS,
);

test(
  "the patch of all names makes the state that the command saw",
  async () => {
    const project = linked();
    await run(project, "echo b >> g");
    const { stdout: patch } = await project.sluice(["diff", "-p", "one"]);
    execFileSync("git", ["apply"], { cwd: project.base, input: patch });
    expect(["f", "g", "dir/deep/h"].map((path) => read(project, path))).toEqual(["a\nb\n", "a\nb\n", "a\nb\n"]);
  },
  LIMIT_MS,
);

test(
  "the names of an ordinary user's file are separate in the session, and the review says so",
  async () => {
    const project = linked("an ordinary user");
    await run(project, "echo b >> f; cat g > seen");
    expect(await diff(project)).toEqual(["M f (2 other names keep the old file)", "A seen", "1 modified, 1 added"]);
    await apply(project);
    expect(["f", "g", "seen"].map((path) => read(project, path))).toEqual(["a\nb\n", "a\n", "a\n"]);
    expect(areOne(project, "g", "dir/deep/h")).toBe(true);
  },
  LIMIT_MS,
);

test(
  "a new mode is applied to no name outside of the directory, nor to one that the session shows as another file",
  async () => {
    const modesOf = (project: Project): number[] => ["f", "g", "dir/deep/h"].map((path) => statSync(join(project.base, path)).mode & 0o777);
    const project = linked("an ordinary user");
    await run(project, "chmod 700 f");
    expect(await diff(project)).toEqual(["m f (mode 0644 to 0700, 2 other names keep the old file)", "1 with other metadata"]);
    await apply(project);
    expect(modesOf(project)).toEqual([0o700, 0o644, 0o644]);
    await run(project, "chmod 711 g; chmod 700 dir/deep/h", ["--resume", "one"]);
    await apply(project);
    expect(modesOf(project)).toEqual([0o700, 0o711, 0o700]);
    const ofRoot = linked();
    const outside = join(dirname(ofRoot.base), "outside");
    linkSync(join(ofRoot.base, "f"), outside);
    await run(ofRoot, "chmod 700 f");
    expect((await diff(ofRoot, "f"))[0]).toContain("1 other name keeps the old file");
    await apply(ofRoot);
    expect([...modesOf(ofRoot), statSync(outside).mode & 0o777]).toEqual([0o700, 0o700, 0o700, 0o644]);
    expect(areOne(ofRoot, "f", "g", "dir/deep/h")).toBe(true);
  },
  LIMIT_MS,
);
