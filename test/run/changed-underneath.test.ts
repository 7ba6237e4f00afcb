// The directory changes while a session has copies of its files: the review compares it with what the session saw.
import { execFileSync, spawnSync } from "node:child_process";
import {
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { cleanUp, diffSnapshots, requires, type ScriptResult, snapshot } from "@sluice/testkit";
import { describe, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { CALLERS, type Caller, NEEDS, Project, rootsViewsShareProcess, testsInTurn } from "./sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS, "command git");
const seed = chooseSeed();
const LIMIT_MS = 240_000;
const LINES = "1\n2\n3\n4\n5\n6\n7\n8\n";
const FILES = {
  text: LINES,
  saved: LINES,
  same: "same\n",
  gone: "gone\n",
  late: "late\n",
  "dir/x": "x\n",
  "whole/old": "old\n",
  "moved/in": "in\n",
};
const CHANGE = `
  sed -i s/1/one/ text; sed s/1/one/ saved > new; mv new saved; echo more >> same; rm gone
  echo more >> dir/x; rm -r whole; mkdir whole; mv moved elsewhere
`;

async function changed(caller: Caller, script = CHANGE): Promise<Project> {
  const project = new Project(caller, FILES);
  const { code, stderr } = await project.sluice(["run", "--policy", "install", "--name", "one", "--", "sh", "-ec", script]);
  expect(code, stderr).toBe(0);
  return project;
}

const lines = ({ stdout }: ScriptResult): string[] => stdout.trimEnd().split("\n");
const conflictsIn = (result: ScriptResult): string[] => lines(result).filter((line) => line.includes("[") && line.includes("underneath"));
const read = (project: Project, path: string): string => readFileSync(join(project.base, path), "utf8");
const write = (project: Project, path: string, text: string): void => writeFileSync(join(project.base, path), text);

describe.each(CALLERS)("as %s", (caller) => {
  const testInTurn = testsInTurn(caller, test, seed);
  testInTurn(
    "a fork and a checkpoint take no file that an undo gave back for somebody else's change, but a later apply",
    async () => {
      const project = await changed(caller);
      const done = async (words: string[]): Promise<void> => {
        const { code, stderr } = await project.sluice(words);
        expect(code, stderr).toBe(0);
      };
      for (const words of [["apply", "one"], ["undo"], ["fork", "one", "two"], ["checkpoint", "one", "mark"]]) await done(words);
      await done(["fork", "one@mark", "three"]);
      const conflicts = async (session: string): Promise<string[]> =>
        conflictsIn(await project.sluice(["diff", session])).map((line) => line.slice(0, line.indexOf(" [")));
      for (const session of ["two", "three"]) expect(await conflicts(session), session).toEqual([]);
      await done(["run", "--resume", "one", "--policy", "install", "--", "sh", "-c", "echo again >> same"]);
      await done(["apply", "one", "same"]);
      await done(["fork", "one@mark", "four"]);
      for (const session of ["two", "three", "four"]) expect(await conflicts(session), session).toEqual(["M same"]);
    },
    LIMIT_MS,
  );

  testInTurn(
    "merges texts that changed on both sides, shows the merge, and applies it if it is clean",
    async () => {
      const project = await changed(caller);
      for (const path of ["text", "saved"]) write(project, path, LINES.replace("8", "eight"));
      expect(lines(await project.sluice(["diff", "one", "text", "saved"])).slice(0, 2)).toEqual([
        "M saved [changed underneath, merges cleanly]",
        "M text [changed underneath, merges cleanly]",
      ]);
      const { stdout } = await project.sluice(["diff", "-p", "one", "text"]);
      expect(stdout).toContain("\n-1\n+one\n");
      expect(stdout).not.toContain("-eight");
      const applied = await project.sluice(["apply", "one", "text", "saved"]);
      expect(applied.code, applied.stderr).toBe(0);
      expect(applied.stdout).toContain("; 2 of them merged; ");
      for (const path of ["text", "saved"]) expect(read(project, path)).toBe("one\n2\n3\n4\n5\n6\n7\neight\n");
      expect((await project.sluice(["undo"])).code).toBe(0);
      expect(read(project, "text")).toBe("1\n2\n3\n4\n5\n6\n7\neight\n");
      expect(conflictsIn(await project.sluice(["diff", "one", "text"]))).toEqual(["M text [changed underneath, merges cleanly]"]);
    },
    LIMIT_MS,
  );

  testInTurn(
    "a merge with conflicts is applied only if an option says so, and each option names its files",
    async () => {
      const project = await changed(caller);
      for (const path of ["text", "saved", "same"]) write(project, path, LINES.replace("1", "uno"));
      const stopped = await project.sluice(["apply", "one"]);
      expect(stopped.code).toBe(5);
      expect(stopped.stderr).toContain("text [changed underneath, 1 conflict in the merge]\n");
      expect(read(project, "text")).toMatch(/^uno/);
      const wrong = await project.sluice(["apply", "one", "--take-session", "gone"]);
      expect(wrong).toMatchObject({ code: 2, stderr: "sluice: --take-session: gone names no conflict: see 'sluice diff'\n" });
      const options = ["--take-merge", "text", "--take-session", "saved", "--take-directory", "same"];
      const applied = await project.sluice(["apply", "one", "text", "saved", "same", ...options]);
      expect(applied.code, applied.stderr).toBe(0);
      expect(read(project, "text")).toMatch(/^<<<<<<< session\none\n=======\nuno\n>>>>>>> directory\n2\n/);
      expect(read(project, "saved")).toMatch(/^one\n/);
      expect(read(project, "same")).toMatch(/^uno\n/);
      expect(lines(await project.sluice(["diff", "--name-only", "one"]))).not.toContain("same");
      await project.sluice(["undo"]);
      expect(read(project, "text")).toMatch(/^uno\n/);
      expect(lines(await project.sluice(["diff", "--name-only", "one"]))).toContain("same");
    },
    LIMIT_MS,
  );

  testInTurn(
    "a file that was touched, linked, or written again with the same bytes is no conflict",
    async () => {
      const project = await changed(caller);
      utimesSync(join(project.base, "text"), 1, 1);
      linkSync(join(project.base, "saved"), join(project.base, "another"));
      const { uid, gid } = statSync(join(project.base, "same"));
      rmSync(join(project.base, "same"));
      write(project, "same", FILES.same);
      chownSync(join(project.base, "same"), uid, gid);
      expect(conflictsIn(await project.sluice(["diff", "one"]))).toEqual([]);
    },
    LIMIT_MS,
  );

  testInTurn(
    "tells what was deleted, replaced or moved in the session and changed in the directory",
    async () => {
      const project = await changed(caller);
      for (const path of ["gone", "whole/new", "moved/new"]) write(project, path, "theirs\n");
      rmSync(join(project.base, "dir"), { recursive: true });
      expect(conflictsIn(await project.sluice(["diff", "one"])).sort()).toEqual(
        [
          "A dir/x [deleted underneath]",
          "A dir/ [deleted underneath]",
          "D gone [changed underneath]",
          caller === "root" ? "R moved/new -> elsewhere/new [changed underneath]" : "D moved/new [changed underneath]",
          "D whole/new [changed underneath]",
        ].sort(),
      );
      expect((await project.sluice(["apply", "one"])).code).toBe(5);
      expect(read(project, "gone")).toBe("theirs\n");
    },
    LIMIT_MS,
  );

  test(
    "links and pipes that were moved are no conflict, and are applied, undone and in the patch",
    async () => {
      const project = new Project(caller, { "dir/x": "x\n" });
      execFileSync("sh", ["-ec", "ln -s dir link; ln -s x dir/in; mkfifo dir/pipe; chown -h --reference=dir link dir/*"], {
        cwd: project.base,
      });
      const script = "mv link moved; mv dir/in in; mv dir/pipe pipe";
      expect((await project.sluice(["run", "--name", "one", "--", "sh", "-ec", script])).code).toBe(0);
      const diff = await project.sluice(["diff", "one"]);
      expect(conflictsIn(diff)).toEqual([]);
      if (caller === "root") expect(lines(diff)).toEqual(["R dir/in -> in", "R link -> moved", "R dir/pipe -> pipe", "3 renamed"]);
      const { stdout: patch } = await project.sluice(["diff", "-p", "one"]);
      const before = snapshot(project.base);
      expect((await project.sluice(["apply", "one"])).code).toBe(0);
      expect(readdirSync(project.base).sort()).toEqual(["dir", "in", "moved", "pipe"]);
      expect(readdirSync(join(project.base, "dir"))).toEqual(["x"]);
      expect(["in", "moved"].map((name) => readlinkSync(join(project.base, name)))).toEqual(["x", "dir"]);
      expect((await project.sluice(["undo"])).code).toBe(0);
      expect(diffSnapshots(before, snapshot(project.base)).filter((line) => !line.includes("mtimeNs"))).toEqual([]);
      execFileSync("git", ["apply"], { cwd: project.base, input: patch });
      expect(readdirSync(project.base).sort()).toEqual(["dir", "in", "moved"]);
    },
    LIMIT_MS,
  );

  test(
    "a file that was moved aside for a new one is no conflict, and is one if the directory lost it",
    async () => {
      const project = new Project(caller, { log: "old\n", text: LINES, same: "same\n", gone: "gone\n" });
      const script =
        "echo more >> log; mv log log.1; echo new > log; sed -i.bak s/1/one/ text; mv same was; cp was same; mv gone kept; echo x > gone; echo y >> kept";
      expect((await project.sluice(["run", "--name", "one", "--", "sh", "-ec", script])).code).toBe(0);
      expect(conflictsIn(await project.sluice(["diff", "one"]))).toEqual([]);
      rmSync(join(project.base, "gone"));
      expect(conflictsIn(await project.sluice(["diff", "one"]))).toContain("A kept [deleted underneath]");
      const applied = await project.sluice(["apply", "one", "log", "log.1", "text", "text.bak"]);
      expect(applied.code, applied.stderr).toBe(0);
      expect(["log", "log.1", "text.bak"].map((name) => read(project, name))).toEqual(["new\n", "old\nmore\n", LINES]);
      expect((await project.sluice(["undo"])).code).toBe(0);
      expect(readdirSync(project.base).sort()).toEqual(["log", "same", "text"]);
    },
    LIMIT_MS,
  );

  testInTurn(
    "an older directory that is moved into place is a change",
    async () => {
      const project = new Project(caller, { ...FILES, "older/x": "older\n" });
      expect((await project.sluice(["run", "--name", "one", "--", "sh", "-ec", CHANGE])).code).toBe(0);
      renameSync(join(project.base, "dir"), join(dirname(project.base), "dir"));
      renameSync(join(project.base, "older"), join(project.base, "dir"));
      expect(conflictsIn(await project.sluice(["diff", "one", "dir"]))).toEqual(["M dir/x [changed underneath, 1 conflict in the merge]"]);
    },
    LIMIT_MS,
  );

  testInTurn(
    "a record that was lost or cut short hides no change, and a killed server loses nothing",
    async () => {
      const project = new Project(caller, FILES);
      const running = project.start(["run", "--name", "one", "--", "sh", "-ec", `${CHANGE} echo ready; sleep 1000`]);
      await running.waitFor("ready");
      running.kill("SIGKILL");
      await running.finished;
      await expect.poll(() => project.processes()).toEqual([]);
      write(project, "text", LINES.replace("8", "eight"));
      write(project, "gone", "theirs\n");
      const shown = async (): Promise<string[]> => lines(await project.sluice(["diff", "one", "text", "gone"])).slice(0, 2);
      expect(await shown()).toEqual(["D gone [changed underneath]", "M text [changed underneath, merges cleanly]"]);
      truncateSync(project.session("one", "base/contents"), 3);
      expect(await shown()).toEqual(["D gone [changed underneath]", "M text [changed underneath]"]);
      truncateSync(project.session("one", "base/entries"), 40);
      expect(await shown()).toEqual(["D gone [changed underneath]", "M text [changed underneath]"]);
      expect((await project.sluice(["run", "--resume", "one", "--", "sh", "-c", "echo more >> late"])).code).toBe(0);
      expect(readFileSync(project.session("one", "base/entries"), "latin1")).toMatch(/\n\{"path":"late",.*\}$/);
      rmSync(project.session("one", "base"), { recursive: true });
      expect(await shown()).toEqual(["D gone [changed underneath]", "M text [changed underneath]"]);
    },
    LIMIT_MS,
  );
});

const MAKES_DIRECTORIES =
  "mkdir new aside; echo $NAME > new/$NAME; mkdir aside/in; echo $NAME > aside/in/$NAME; mv aside made; rm -r whole; mkdir whole";

/** Two sessions that make the same directories, of which the first one has been applied. */
async function twoMakers(caller: Caller): Promise<Project> {
  const project = new Project(caller, FILES);
  for (const name of ["one", "two"]) {
    const script = MAKES_DIRECTORIES.replaceAll("$NAME", name);
    const { code, stderr } = await project.sluice(["run", "--name", name, "--", "sh", "-ec", script]);
    expect(code, stderr).toBe(0);
  }
  expect((await project.sluice(["apply", "one"])).code).toBe(0);
  return project;
}

test(
  "directories that two sessions made hold the files of both, after each apply and in a session that goes on",
  async () => {
    const project = await twoMakers(CALLERS[seed % CALLERS.length] as Caller);
    expect(lines(await project.sluice(["diff", "two"]))).toEqual(["A made/in/two", "A new/two", "2 added"]);
    const script = "cat new/* made/in/*; ls whole; echo more > new/more; rm -r moved; mkdir moved; ls moved";
    const resumed = await project.sluice(["run", "--resume", "two", "--", "sh", "-ec", script]);
    expect(resumed).toMatchObject({ code: 0, stdout: "one\ntwo\none\ntwo\n" });
    expect(lines(await project.sluice(["diff", "two"]))).toEqual([
      "A made/in/two",
      "D moved/in",
      "A new/more",
      "A new/two",
      "3 added, 1 deleted",
    ]);
    expect((await project.sluice(["apply", "two"])).code).toBe(0);
    expect(["new", "made/in", "moved"].map((path) => readdirSync(join(project.base, path)).sort())).toEqual([
      ["more", "one", "two"],
      ["one", "two"],
      [],
    ]);
  },
  LIMIT_MS,
);

test(
  "git's lock that both sides took is a conflict",
  async () => {
    const project = new Project("root", { ...FILES, ".git/index": "index" });
    await project.sluice([
      "run",
      "--policy",
      "install",
      "--name",
      "one",
      "--",
      "sh",
      "-ec",
      "echo session > .git/index.lock; echo s > .git/index",
    ]);
    mkdirSync(join(project.base, ".git"), { recursive: true });
    write(project, ".git/index.lock", "theirs\n");
    expect((await project.sluice(["diff", "one"])).stdout).toContain("M .git/index.lock [changed underneath]\n");
    const stopped = await project.sluice(["apply", "one"]);
    expect(stopped.code).toBe(5);
    expect(read(project, ".git/index")).toBe("index");
    expect(read(project, ".git/index.lock")).toBe("theirs\n");
  },
  LIMIT_MS,
);

/** Until the returned function is called. */
function mountOver(...paths: string[]): () => void {
  for (const path of paths) {
    execFileSync("mount", ["-t", "tmpfs", "none", path]);
    cleanUp(() => void spawnSync("umount", ["-l", path], { stdio: "ignore" }));
  }
  return () => {
    for (const path of paths.toReversed()) execFileSync("umount", [path]);
  };
}

test(
  "changes over which a file system is mounted stay in the session, and all others are applied",
  async () => {
    const files = { a: "a\n", y: "y\n", "seen/in": "in\n", "sub/x": "x\n", "sub/in/z": "z\n", "p/q/f": "f\n", "r/f": "f\n" };
    const project = new Project("root", files);
    const at = (path: string): string => join(project.base, path);
    linkSync(at("a"), at("b"));
    const unmountFirst = mountOver(at("seen"));
    const change = "echo 2 > a; echo 2 > y; echo 2 > sub/x; mkdir sub/n; echo 3 > sub/n/z; rm -r p; mv r s; mv sub/in moved";
    expect((await project.sluice(["run", "--name", "one", "--", "sh", "-ec", change])).code).toBe(0);
    const all = (await project.sluice(["diff", "one"])).stdout;
    expect(all).toMatch(/, 2 renamed$/m);
    const unmount = mountOver(at("sub"), at("p/q"), at("r"));
    const covered = ["moved", "p/q", "r", "s", "sub"].map((path) => `? ${path} [a file system is mounted there]`);
    const shown = (await project.sluice(["diff", "one"])).stdout.split("\n");
    expect(shown.filter((line) => line.startsWith("? "))).toEqual(covered);
    expect((await project.sluice(["sessions"])).code).toBe(0);
    expect(await project.sluice(["apply", "one", "sub"])).toMatchObject({
      ...{ code: 4, stderr: "sluice: one: a file system is mounted over its changes: sub: unmount it\n" },
    });
    expect((await project.sluice(["apply", "one"])).stdout).toMatch(/: 3 modified; in the session remain 1 deleted, 5 below a mount$/m);
    expect(["a", "b", "y"].map((path) => readFileSync(at(path), "utf8"))).toEqual(["2\n", "2\n", "2\n"]);
    const again = await project.sluice(["run", "--resume", "one", "--", "cat", "sub/x", "sub/n/z", "moved/z", "s/f"]);
    expect([again.code, again.stdout]).toEqual([0, "2\n3\nz\nf\n"]);
    expect((await project.sluice(["undo", "one"])).code).toBe(0);
    unmount();
    expect((await project.sluice(["diff", "one"])).stdout).toBe(all);
    expect((await project.sluice(["apply", "one"])).code).toBe(0);
    expect(["sub/x", "sub/n/z", "moved/z", "s/f"].map((path) => readFileSync(at(path), "utf8")).join("")).toBe(again.stdout);
    expect(readdirSync(project.base).sort()).toEqual(["a", "b", "moved", "s", "seen", "sub", "y"]);
    unmountFirst();
  },
  LIMIT_MS,
);

test(
  "a new file is a conflict if another directory took the place of the session's, and none if that is back",
  async () => {
    const project = await changed("root", "echo new > new");
    renameSync(project.base, `${project.base}.old`);
    mkdirSync(project.base);
    expect(await project.sluice(["diff", "one"], { cwd: "/" })).toMatchObject({
      stdout: "A new [in another directory underneath]\n1 added; 1 changed underneath\n",
    });
    const refused = await project.sluice(["apply", "one"], { cwd: "/" });
    expect([refused.code, readdirSync(project.base)]).toEqual([5, []]);
    renameSync(project.base, `${project.base}.other`);
    renameSync(`${project.base}.old`, project.base);
    expect(await project.sluice(["apply", "one"], { cwd: "/" })).toMatchObject({ code: 0, stderr: "" });
    expect(read(project, "new")).toBe("new\n");
  },
  LIMIT_MS,
);
