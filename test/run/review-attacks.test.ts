// Failures that other tools had, replayed: changes that a review leaves out, secrets that come late, and programs that a review runs.
import { execFileSync } from "node:child_process";
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { cleanUp, diffSnapshots, requires, scratch, type Snapshot, snapshot } from "@sluice/testkit";
import { describe, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { CALLERS, NEEDS, Project, uidOf, rootsViewsShareProcess, testsInTurn } from "./sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS, "command git");
const seed = chooseSeed();
const LIMIT_MS = 300_000;
const FILES = { a: "a\n", b: "b\n", "dir/x": "x\n", "whole/old": "old\n", ".env": "secret\n", "text.txt": "1\n2\n3\n" };

const read = (project: Project, path: string): string => readFileSync(join(project.base, path), "utf8");
const write = (project: Project, path: string, text: string): void => writeFileSync(join(project.base, path), text);

/** Times of directories change with their entries, also of entries that come and go. */
function withoutTimes(all: Snapshot): Snapshot {
  return new Map([...all].map(([name, entry]) => [name, entry.type === "directory" ? { ...entry, mtimeNs: 0n } : entry]));
}

describe.each(CALLERS)("as %s", (caller) => {
  const testInTurn = testsInTurn(caller, test, seed);
  test(
    "a secret that appears while the command runs is denied, and nothing is left in its place",
    async () => {
      const project = new Project(caller, FILES);
      const script = "echo ready; until [ -e dir/go ]; do sleep 0.1; done; cat .env dir/.env dir/go; ls -A dir";
      const running = project.start(["run", "--name", "one", "--", "sh", "-c", script]);
      await running.waitFor("ready");
      write(project, "dir/.env", "late secret\n");
      chownSync(join(project.base, "dir/.env"), uidOf(caller), uidOf(caller));
      write(project, "dir/go", "go\n");
      const before = snapshot(project.base);
      const { stdout, stderr } = await running.finished;
      expect(stdout).not.toContain("secret");
      expect(stdout).toContain("go\n");
      expect(stderr).toMatch(/^sluice: no changes · 2 denied \(\.env, dir\/\.env\)$/m);
      expect((await project.sluice(["diff", "one"])).stdout).toBe("no changes\n");
      expect(diffSnapshots(snapshot(project.base), before)).toEqual([]);
      expect(readdirSync(project.session("one", "upper"))).toEqual([]);
    },
    LIMIT_MS,
  );

  testInTurn(
    "nothing is applied to a directory on a read-only mount, and the session goes on and can be discarded",
    async () => {
      const project = new Project(caller, FILES);
      expect((await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo x >> a"])).code).toBe(0);
      execFileSync("mount", ["--bind", project.base, project.base]);
      cleanUp(() => void execFileSync("umount", ["-l", project.base]));
      execFileSync("mount", ["-o", "remount,bind,ro", project.base]);
      const applied = await project.sluice(["apply", "one"]);
      expect(applied).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/: a directory cannot be created in it \(EROFS\): mount its disk/),
      });
      expect((await project.sluice(["diff", "--name-only", "one"])).stdout).toBe("a\n");
      expect((await project.sluice(["run", "--resume", "one", "--", "cat", "a"])).stdout).toBe("a\nx\n");
      expect(await project.sluice(["discard", "one"])).toMatchObject({ code: 0, stderr: "one: discarded\n" });
    },
    LIMIT_MS,
  );

  testInTurn(
    "a session whose disk is full loses nothing, applies nothing by halves, and goes on once there is room",
    async () => {
      const project = new Project(caller, FILES);
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=4m,mode=0700,uid=${uidOf(caller)}`, "tmpfs", project.state]);
      cleanUp(() => void execFileSync("umount", ["-l", project.state]));
      const before = snapshot(project.base);
      const fill = "echo x >> a; rm b; head -c 16M /dev/zero > big; for n in $(seq 64); do echo y > new$n; done; echo z >> dir/x; true";
      const run = await project.sluice(["run", "--name", "one", "--", "sh", "-c", fill]);
      expect(run.stderr).toMatch(/No space left on device/);
      expect(diffSnapshots(snapshot(project.base), before)).toEqual([]);
      const { stdout } = await project.sluice(["diff", "--name-only", "one"]);
      expect(stdout.split("\n")).toEqual(expect.arrayContaining(["a", "b", "big"]));
      const applied = await project.sluice(["apply", "one"]);
      if (applied.code !== 0) {
        expect(applied.stderr).toMatch(/ENOSPC/);
        expect(diffSnapshots(withoutTimes(snapshot(project.base)), withoutTimes(before))).toEqual([]);
      } else expect((await project.sluice(["undo", "one"])).code).toBe(0);
      execFileSync("mount", ["-o", "remount,size=64m", project.state]);
      expect((await project.sluice(["run", "--resume", "one", "--", "rm", "big"])).code).toBe(0);
      const again = await project.sluice(["apply", "one", "a", "b"]);
      expect(again.code, again.stderr).toBe(0);
      expect([read(project, "a"), existsSync(join(project.base, "b"))]).toEqual(["a\nx\n", false]);
      expect((await project.sluice(["discard", "one"])).code).toBe(0);
    },
    LIMIT_MS,
  );
});

test(
  "the summary and the review leave no deletion out, however many there are",
  async () => {
    const names = Array.from({ length: 1500 }, (_, index) => `many/f${index}`);
    const project = new Project("root", { ...FILES, ...Object.fromEntries(names.map((name) => [name, ""])) });
    const script = "rm -r many; rm -r whole; mkdir whole; mv dir dir2";
    const { stderr } = await project.sluice(["run", "--name", "one", "--", "sh", "-c", script]);
    const { stdout } = await project.sluice(["diff", "one"]);
    expect(stderr.trimEnd().split("\n").at(-1)).toBe(`sluice: ${stdout.trimEnd().split("\n").at(-1)}`);
    expect((await project.sluice(["sessions"])).stdout.trimEnd().endsWith(stdout.trimEnd().split("\n").at(-1) ?? "-")).toBe(true);
    expect(stderr).toContain(`, ${names.length + 3} deleted, `);
    const lines = new Set(stdout.split("\n"));
    expect([...names.map((name) => `D ${name}`), "D many/", "D whole/old"].filter((line) => !lines.has(line))).toEqual([]);
    expect(stdout).toContain("R dir/x -> dir2/x\n");
  },
  LIMIT_MS,
);

test(
  "no command of a review runs a program that the session wrote into git's configuration",
  async () => {
    const project = new Project("root", { ...FILES, ".git/HEAD": "ref: refs/heads/main\n", ".git/config": "[core]\n" });
    for (const name of ["objects", "refs"]) mkdirSync(join(project.base, ".git", name));
    const ran = join(scratch(), "ran");
    const evil = `touch ${ran}`;
    const config = `[core]\\n\\tfsmonitor = ${evil}\\n\\tpager = ${evil}\\n[diff]\\n\\texternal = ${evil}\\n[merge "evil"]\\n\\tdriver = ${evil}\\n`;
    const script = `printf '${config}' > .git/config; echo '* merge=evil diff=evil' > .gitattributes; sed -i s/1/one/ text.txt`;
    await project.sluice(["run", "--policy", "install", "--name", "one", "--", "sh", "-ec", script]);
    write(project, "text.txt", "1\n2\nthree\n");
    const { stdout } = await project.sluice(["diff", "-p", "one"]);
    expect(stdout).toContain("fsmonitor");
    for (const words of [["diff", "--stat", "one"], ["apply", "one"], ["undo"], ["discard", "one"]]) {
      const { code, stderr } = await project.sluice(words);
      expect(code, stderr).toBe(0);
    }
    expect(existsSync(ran)).toBe(false);
  },
  LIMIT_MS,
);

test(
  "an apply reaches nothing outside of the directory, whichever side has a link in place of a directory",
  async () => {
    const project = new Project("root", FILES);
    const outside = join(scratch(), "outside");
    mkdirSync(outside);
    writeFileSync(join(outside, "x"), "outside\n");
    await project.sluice(["run", "--name", "one", "--", "sh", "-ec", "echo more >> dir/x; echo new > dir/new"]);
    renameSync(join(project.base, "dir"), join(dirname(project.base), "dir"));
    symlinkSync(outside, join(project.base, "dir"));
    const applied = await project.sluice(["apply", "one", "--overwrite"]);
    expect(applied.code, applied.stderr).toBe(0);
    await project.sluice(["undo"]);
    await project.sluice(["discard", "one"]);
    await project.sluice([
      "run",
      "--name",
      "two",
      "--",
      "sh",
      "-ec",
      `rm -r whole; ln -s ${outside} whole; rm dir; mkdir dir; echo new > dir/x`,
    ]);
    for (const words of [["apply", "two"], ["undo"], ["apply", "two"]]) expect((await project.sluice(words)).code).toBe(0);
    expect(readFileSync(join(outside, "x"), "utf8")).toBe("outside\n");
    expect(readdirSync(outside)).toEqual(["x"]);
  },
  LIMIT_MS,
);
